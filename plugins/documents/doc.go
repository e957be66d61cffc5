// Package documents provides sources that read the text of documents: web pages
// (html.go), Word (docx.go), EPUB books (epub.go), e-mail
// (email.go), web archives (warc.go), and Excel workbooks (excel.go).
//
// Package files finds, opens, and decompresses the files, limits the size and
// time of each document, and turns errors and panics of parsers into rows that
// are set aside. A format declares its columns and reads one document. Memory
// grows with the size of a document, which max_size limits, and not with their
// number. Formats that contain many documents are read one document at a time.
package documents

import (
	"context"

	"github.com/quern-dev/quern/plugins/files"
	"github.com/quern-dev/quern/sdk/go/plugin"
)

// Plugin returns the plugin.
func Plugin(version string) plugin.Plugin {
	place := "."
	root := func() string { return place }
	return plugin.Plugin{
		Name: "documents", Version: version,
		Configure: func(_ context.Context, root string) error {
			place = root
			return nil
		},
		Types: []plugin.Type{
			files.NewDocumentSource[docxArgs](plugin.Info{Name: "docx", Doc: docxDoc, BehaviorVersion: 1}, root),
			files.NewDocumentSource[emailArgs](plugin.Info{Name: "email", Doc: emailDoc, BehaviorVersion: 1}, root),
			files.NewDocumentSource[epubArgs](plugin.Info{Name: "epub", Doc: epubDoc, BehaviorVersion: 1}, root),
			files.NewDocumentSource[excelArgs](plugin.Info{Name: "excel", Doc: excelDoc, BehaviorVersion: 1}, root),
			files.NewDocumentSource[htmlArgs](plugin.Info{Name: "html", Doc: htmlDoc, BehaviorVersion: 1}, root),
			files.NewDocumentSource[pdfArgs](plugin.Info{Name: "pdf", Doc: pdfDoc, BehaviorVersion: 1}, root),
			files.NewDocumentSource[warcArgs](plugin.Info{Name: "warc", Doc: warcDoc, BehaviorVersion: 1}, root),
		},
	}
}
