package stage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
)

// Documents travel between two processes of one program, so that both know their types: the encoding is the values alone,
// one after the other in the order of the fields. JSON tells the names of the fields too, and building its encoders by
// reflection took a tenth of a launch.
//
//	bool                one byte
//	integers            varint, zig-zag where they are signed; floats as their bits
//	string              length, bytes
//	slice               length + 1, elements; 0: nil
//	pointer             1 and the value; 0: nil
//	struct, array       the exported fields that are not tagged `json:"-"`, the elements

// errDocument: what was read is no document of that type.
var errDocument = errors.New("the document is damaged")

// maxDepth is how deep documents are nested at most.
const maxDepth = 64

// A typeFields remembers which fields of a struct travel.
type typeFields map[reflect.Type][]int

func (t typeFields) of(typ reflect.Type) []int {
	list, ok := t[typ]
	if !ok {
		list = []int{}
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				list = append(list, i)
			}
		}
		t[typ] = list
	}
	return list
}

// marshal encodes what document points to. The error names a type that cannot travel.
func marshal(document any) ([]byte, error) {
	e := encoder{out: make([]byte, 0, 8<<10), fields: typeFields{}}
	err := e.value(reflect.ValueOf(document).Elem())
	return e.out, err
}

type encoder struct {
	out    []byte
	fields typeFields
}

func (e *encoder) length(n int) { e.out = binary.AppendUvarint(e.out, uint64(n)) }

func (e *encoder) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Bool:
		e.length(boolInt(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.out = binary.AppendVarint(e.out, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.out = binary.AppendUvarint(e.out, v.Uint())
	case reflect.Float32, reflect.Float64:
		e.out = binary.AppendUvarint(e.out, math.Float64bits(v.Float()))
	case reflect.String:
		e.length(v.Len())
		e.out = append(e.out, v.String()...)
	case reflect.Slice:
		return e.slice(v)
	case reflect.Array:
		return e.elements(v)
	case reflect.Pointer:
		e.length(boolInt(!v.IsNil()))
		if !v.IsNil() {
			return e.value(v.Elem())
		}
	case reflect.Struct:
		for _, i := range e.fields.of(v.Type()) {
			if err := e.value(v.Field(i)); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("a %s cannot travel", v.Type())
	}
	return nil
}

func (e *encoder) slice(v reflect.Value) error {
	if v.IsNil() {
		e.length(0)
		return nil
	}
	e.length(v.Len() + 1)
	if v.Type().Elem().Kind() == reflect.Uint8 {
		e.out = append(e.out, v.Bytes()...)
		return nil
	}
	return e.elements(v)
}

func (e *encoder) elements(v reflect.Value) error {
	for i := range v.Len() {
		if err := e.value(v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func boolInt(on bool) int {
	if on {
		return 1
	}
	return 0
}

// unmarshal is the inverse of marshal. The error wraps errDocument: doc is cut short, too long, or not of that type.
func unmarshal(doc []byte, document any) error {
	d := decoder{in: doc, fields: typeFields{}}
	if err := d.value(reflect.ValueOf(document).Elem(), 0); err != nil {
		return err
	}
	if len(d.in) > 0 {
		return fmt.Errorf("%w: %d bytes too many", errDocument, len(d.in))
	}
	return nil
}

type decoder struct {
	in     []byte
	fields typeFields
}

func (d *decoder) uvarint() (uint64, error) {
	n, size := binary.Uvarint(d.in)
	if size <= 0 {
		return 0, fmt.Errorf("%w: a number is cut short", errDocument)
	}
	d.in = d.in[size:]
	return n, nil
}

// bytes takes n bytes.
func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.in)) {
		return nil, fmt.Errorf("%w: %d bytes of %d are missing", errDocument, n-uint64(len(d.in)), n)
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b, nil
}

func (d *decoder) value(v reflect.Value, depth int) error {
	switch v.Kind() {
	case reflect.Slice:
		return d.slice(v, depth)
	case reflect.Array:
		return d.elements(v, depth)
	case reflect.Struct:
		for _, i := range d.fields.of(v.Type()) {
			if err := d.value(v.Field(i), depth); err != nil {
				return err
			}
		}
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, size := binary.Varint(d.in)
		if size <= 0 {
			return fmt.Errorf("%w: a number is cut short", errDocument)
		}
		d.in = d.in[size:]
		v.SetInt(n)
		return nil
	}
	n, err := d.uvarint()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(n != 0)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(math.Float64frombits(n))
	case reflect.String:
		b, err := d.bytes(n)
		v.SetString(string(b))
		return err
	case reflect.Pointer:
		return d.pointer(v, n, depth)
	default:
		return fmt.Errorf("a %s cannot travel", v.Type())
	}
	return nil
}

func (d *decoder) pointer(v reflect.Value, there uint64, depth int) error {
	if there == 0 {
		v.SetZero()
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("%w: nested too deep", errDocument)
	}
	v.Set(reflect.New(v.Type().Elem()))
	return d.value(v.Elem(), depth+1)
}

// slice decodes a slice whose elements take a byte each at least.
func (d *decoder) slice(v reflect.Value, depth int) error {
	n, err := d.uvarint()
	if err != nil || n == 0 {
		v.SetZero()
		return err
	}
	n--
	if n > uint64(len(d.in)) {
		return fmt.Errorf("%w: %d elements in %d bytes", errDocument, n, len(d.in))
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b, err := d.bytes(n)
		v.SetBytes(append([]byte{}, b...))
		return err
	}
	if depth == maxDepth {
		return fmt.Errorf("%w: nested too deep", errDocument)
	}
	v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
	return d.elements(v, depth+1)
}

func (d *decoder) elements(v reflect.Value, depth int) error {
	for i := range v.Len() {
		if err := d.value(v.Index(i), depth); err != nil {
			return err
		}
	}
	return nil
}
