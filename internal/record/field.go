package record

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Field is a value of a record by its name in `runs show --json`, such as peaks.memory_bytes, labels.team or
// metrics.eval.loss.last: a float64 for every number, a string, a bool, a time.Time, or nil when it is not there. Of a list it is
// the text of its members with spaces between them; gpus.name is that of the names of gpus[]. The state of a paused job is "paused".
func Field(v *View, name string) any {
	if name == "state" {
		return v.Standing()
	}
	return walk(reflect.ValueOf(v), name)
}

// FieldText is a value as text.
func FieldText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(v)
}

// ErrField is returned for the name of a field that no record has.
var ErrField = errors.New("no record has such a field")

// checkField makes sure that records can have a field of that name.
func checkField(name string) error {
	if leaf(reflect.TypeFor[View](), name) == nil {
		return fmt.Errorf("%w: %q", ErrField, name)
	}
	return nil
}

var timeType = reflect.TypeFor[time.Time]()

// walk follows the rest of a name. The names of a map's members may have dots in them.
func walk(v reflect.Value, name string) any {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch {
	case name == "":
		return plain(v)
	case v.Kind() == reflect.Map:
		for key, rest := name, ""; ; {
			if member := v.MapIndex(reflect.ValueOf(key)); member.IsValid() {
				if member.Kind() == reflect.String && rest == "" {
					return member.String() // an empty one is there, too
				}
				return walk(member, rest)
			}
			at := strings.LastIndexByte(key, '.')
			if at < 0 {
				return nil
			}
			key, rest = name[:at], name[at+1:]
		}
	case v.Kind() == reflect.Slice: // of each member
		var words []string
		for _, inner := range v.Seq2() {
			if text := FieldText(walk(inner, name)); text != "" {
				words = append(words, text)
			}
		}
		if len(words) > 0 {
			return strings.Join(words, " ")
		}
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		first, rest, _ := strings.Cut(name, ".")
		if field := member(v, first); field.IsValid() {
			return walk(field, rest)
		}
	}
	return nil
}

// plain is a value without its type's name.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64, reflect.Int32:
		return float64(v.Int())
	case reflect.Uint32, reflect.Uint64:
		return float64(v.Uint())
	case reflect.Float64:
		return v.Float()
	case reflect.Slice:
		var words []string
		for _, member := range v.Seq2() {
			words = append(words, FieldText(plain(member)))
		}
		return strings.Join(words, " ")
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t
		}
	}
	return nil
}

// member is the field of a struct that has a name in JSON.
func member(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if inner := member(v.Field(i), name); inner.IsValid() {
				return inner
			}
		} else if jsonName(f) == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// leaf is the type of a type's member of that name, nil where it can have none; of the members of a list it is the list's.
func leaf(t reflect.Type, name string) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case name == "":
		if t.Kind() == reflect.Map || t.Kind() == reflect.Struct && t != timeType {
			return nil
		}
		return t
	case t.Kind() == reflect.Map:
		for rest := name; ; {
			if found := leaf(t.Elem(), rest); found != nil {
				return found
			}
			_, after, more := strings.Cut(rest, ".")
			if !more {
				return leaf(t.Elem(), "")
			}
			rest = after
		}
	case t.Kind() == reflect.Slice:
		if leaf(t.Elem(), name) == nil {
			return nil
		}
		return t
	case t.Kind() != reflect.Struct || t == timeType:
		return nil
	}
	first, rest, _ := strings.Cut(name, ".")
	for f := range t.Fields() {
		of, inner := name, f.Anonymous
		if !inner {
			of, inner = rest, jsonName(f) == first
		}
		if !inner {
			continue
		}
		if found := leaf(f.Type, of); found != nil {
			return found
		}
	}
	return nil
}
