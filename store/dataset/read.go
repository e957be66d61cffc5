package dataset

import (
	"github.com/quern-dev/quern/internal/ownjson"
	"github.com/quern-dev/quern/sdk/go/data"
)

// Read reads a manifest, as Encode writes it.
func (m *Manifest) Read(r *ownjson.Reader) {
	for member := r.Members(); member.Next(); {
		switch member.Name {
		case "format":
			m.Format = r.Text()
		case "schema":
			m.Schema = ownjson.List(r, readSchemaColumn)
		case "rows":
			m.Rows = r.Int()
		case "columns":
			m.Columns = ownjson.List(r, readSummary)
		case "shards":
			m.Shards = ownjson.List(r, readShard)
		default:
			r.GiveUp()
		}
	}
}

func readSchemaColumn(r *ownjson.Reader) (c data.Column) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "name":
			c.Name = r.Text()
		case "type":
			c.Type = r.Text()
		default:
			r.GiveUp()
		}
	}
	return c
}

func readSummary(r *ownjson.Reader) (s Summary) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "name":
			s.Name = r.Text()
		case "digest":
			s.Digest = r.Text()
		case "nulls":
			s.Nulls = r.Int()
		default:
			r.GiveUp()
		}
	}
	return s
}

func readShard(r *ownjson.Reader) (s Shard) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "rows":
			s.Rows = r.Int()
		case "groups":
			s.Groups = ownjson.List(r, readGroup)
		case "columns":
			s.Columns = ownjson.List(r, readColumn)
		default:
			r.GiveUp()
		}
	}
	return s
}

func readGroup(r *ownjson.Reader) (g Group) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "blob":
			g.Blob = r.Text()
		case "bytes":
			g.Bytes = r.Int()
		case "columns":
			g.Columns = ownjson.List(r, (*ownjson.Reader).Text)
		default:
			r.GiveUp()
		}
	}
	return g
}

func readColumn(r *ownjson.Reader) (c Column) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "name":
			c.Name = r.Text()
		case "group":
			c.Group = int(r.Int())
		case "stored":
			c.Stored = r.Text()
		case "digest":
			c.Digest = r.Text()
		case "nulls":
			c.Nulls = r.Int()
		default:
			r.GiveUp()
		}
	}
	return c
}
