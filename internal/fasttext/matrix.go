package fasttext

import "math"

// matrix is a matrix of float32. The products below are converted explicitly,
// so that no architecture fuses them with additions: results are the same
// everywhere.
type matrix interface {
	// size returns the number of rows and columns.
	size() (rows, columns int64)
	// average sets a vector to the mean of rows.
	average(to []float32, rows []int32)
	// dot returns the product of a row and a vector.
	dot(row int, v []float32) float32
}

func readMatrix(in *reader, quantized bool) matrix {
	if quantized {
		return readQuantized(in)
	}
	m := &dense{rows: in.int64(), columns: in.int64()}
	if m.rows < 0 || m.rows > math.MaxInt32 || m.columns < 1 || m.columns > largestDim {
		in.fail(damaged("it has a matrix of %d × %d", m.rows, m.columns))
		return m
	}
	if in.fits(m.rows, 4*m.columns) {
		m.values = in.floats(m.rows * m.columns)
	}
	return m
}

// dense stores a matrix as it is.
type dense struct {
	rows, columns int64
	values        []float32
}

func (m *dense) size() (rows, columns int64) { return m.rows, m.columns }

func (m *dense) row(i int) []float32 {
	from := int64(i) * m.columns
	return m.values[from : from+m.columns]
}

func (m *dense) average(to []float32, rows []int32) {
	clear(to)
	for _, r := range rows {
		for i, x := range m.row(int(r)) {
			to[i] += x
		}
	}
	scale(to, len(rows))
}

func (m *dense) dot(row int, v []float32) float32 {
	var sum float32
	for i, x := range m.row(row) {
		sum += float32(x * v[i])
	}
	return sum
}

func scale(v []float32, n int) {
	by := float32(1 / float64(n))
	for i := range v {
		v[i] *= by
	}
}

// quantized stores a row as the numbers of centroids, one for each part of the
// row, and possibly that of its norm.
type quantized struct {
	rows, columns int64
	codes         []byte
	parts         *quantizer
	// norms is nil if the rows have no norms of their own.
	norms     *quantizer
	normCodes []byte
}

func readQuantized(in *reader) matrix {
	hasNorms := in.bool()
	m := &quantized{rows: in.int64(), columns: in.int64()}
	codes := int64(in.int32())
	if in.err == nil && (m.rows < 0 || m.rows > math.MaxInt32 || m.columns < 1 || m.columns > largestDim) {
		in.fail(damaged("it has a matrix of %d × %d", m.rows, m.columns))
	}
	m.codes = in.bytes(codes)
	m.parts = readQuantizer(in, m.columns)
	if in.err == nil && codes != m.rows*m.parts.parts {
		in.fail(damaged("it has %d codes for %d rows", codes, m.rows))
	}
	if hasNorms && in.err == nil {
		m.normCodes = in.bytes(m.rows)
		m.norms = readQuantizer(in, 1)
	}
	return m
}

func (m *quantized) size() (rows, columns int64) { return m.rows, m.columns }

func (m *quantized) norm(row int) float32 {
	if m.norms == nil {
		return 1
	}
	return m.norms.centroid(0, m.normCodes[row])[0]
}

func (m *quantized) rowCodes(row int) []byte {
	from := int64(row) * m.parts.parts
	return m.codes[from : from+m.parts.parts]
}

func (m *quantized) average(to []float32, rows []int32) {
	clear(to)
	for _, r := range rows {
		norm := m.norm(int(r))
		for part, code := range m.rowCodes(int(r)) {
			into := to[int64(part)*m.parts.width:]
			for i, x := range m.parts.centroid(part, code) {
				into[i] += float32(norm * x)
			}
		}
	}
	scale(to, len(rows))
}

func (m *quantized) dot(row int, v []float32) float32 {
	var sum float32
	for part, code := range m.rowCodes(row) {
		with := v[int64(part)*m.parts.width:]
		for i, x := range m.parts.centroid(part, code) {
			sum += float32(with[i] * x)
		}
	}
	return sum * m.norm(row)
}

// centroids is the number of centroids of each part.
const centroids = 256

// quantizer contains the centroids of the parts of a vector. All parts have the
// same width, except possibly the last.
type quantizer struct {
	parts, width, lastWidth int64
	values                  []float32
}

func readQuantizer(in *reader, columns int64) *quantizer {
	dim := int64(in.int32())
	q := &quantizer{parts: int64(in.int32()), width: int64(in.int32()), lastWidth: int64(in.int32())}
	if in.err == nil && (dim != columns || q.parts < 1 || q.parts > dim || q.width < 1 || q.width > dim ||
		q.lastWidth < 1 || q.lastWidth > q.width || (q.parts-1)*q.width+q.lastWidth != dim) {
		in.fail(damaged("it divides %d values into %d parts of %d and %d", dim, q.parts, q.width, q.lastWidth))
	}
	if in.err == nil {
		q.values = in.floats(dim * centroids)
	}
	return q
}

func (q *quantizer) centroid(part int, code byte) []float32 {
	p, c := int64(part), int64(code)
	if p == q.parts-1 {
		from := p*centroids*q.width + c*q.lastWidth
		return q.values[from : from+q.lastWidth]
	}
	from := (p*centroids + c) * q.width
	return q.values[from : from+q.width]
}
