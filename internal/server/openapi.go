package server

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"millpond"
)

// describe answers with an OpenAPI 3.1 document, made of the routes' own data.
func (s *Server) describe(c *call) error {
	return sendJSON(c, http.StatusOK, openAPI(s.parts.Version, c.t.base(c.peer).String(), c.t.routes))
}

type object = map[string]any

// openAPI describes the routes.
func openAPI(version, base string, routes []route) object {
	d := &describer{schemas: object{}}
	problem := object{"description": "It was refused, or failed.", "content": jsonContent(d.schema(reflect.TypeFor[Problem]()))}
	paths := map[string]object{}
	for i := range routes {
		r := &routes[i]
		if paths[r.path] == nil {
			paths[r.path] = object{}
		}
		for _, method := range strings.Fields(r.methods) {
			paths[r.path][strings.ToLower(method)] = d.operation(r, problem)
		}
	}
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "millpond", "version": version,
			"description": "What a pond can be asked beside the protocols of its packages. Segments of paths are escaped: a name's slash is %2F."},
		"servers": []object{{"url": strings.TrimSuffix(base, "/")}},
		"paths":   paths,
		"components": object{"schemas": d.schemas, "securitySchemes": object{
			"bearer": object{"type": "http", "scheme": "bearer", "description": "A token."},
			"basic":  object{"type": "http", "scheme": "basic", "description": "Any user name, and a token as the password."},
		}},
	}
}

func jsonContent(schema object) object { return object{"application/json": object{"schema": schema}} }

// A describer gathers the schemas of documents under their names.
type describer struct{ schemas object }

func (d *describer) operation(r *route, problem object) object {
	op := object{"summary": r.about, "x-verb": r.verb}
	if r.verb != verbOpen {
		op["security"] = []object{{"bearer": []string{}}, {"basic": []string{}}}
	}
	parameters := []object{}
	for segment := range strings.SplitSeq(r.path, "/") {
		if strings.HasPrefix(segment, "{") {
			parameters = append(parameters, object{"name": strings.Trim(segment, "{}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, name := range r.query {
		parameters = append(parameters, object{"name": name, "in": "query", "schema": object{"type": "string"}})
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	switch {
	case r.in != nil:
		op["requestBody"] = object{"required": true, "content": jsonContent(d.schema(reflect.TypeOf(r.in)))}
	case r.large:
		op["requestBody"] = object{"required": true, "content": object{"application/octet-stream": object{}}}
	}
	responses := object{"default": problem}
	switch {
	case r.out != nil:
		responses["200"] = object{"description": "Done.", "content": jsonContent(d.schema(reflect.TypeOf(r.out)))}
	case r.plain || r.path == "/-/api":
		responses["200"] = object{"description": "Done."}
	default:
		responses["204"] = object{"description": "Done."}
	}
	op["responses"] = responses
	return op
}

// schema is that of a Go type as encoding/json writes it.
func (d *describer) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "description": "nanoseconds"}
	case reflect.TypeFor[millpond.Verb]():
		return object{"type": "string", "enum": millpond.Verbs()}
	case reflect.TypeFor[millpond.Digest]():
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64, reflect.Float32:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint32:
		return object{"type": "integer"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{} // a document of its own
		}
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.named(t)
	}
	return object{}
}

// named puts a struct's schema under its name, and refers to it.
func (d *describer) named(t reflect.Type) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if _, there := d.schemas[t.Name()]; there {
		return ref
	}
	d.schemas[t.Name()] = nil // a type may hold itself
	properties, required := object{}, map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = d.schema(f.Type)
		if !strings.Contains(options, "omit") {
			required[name] = true
		}
	}
	one := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		one["required"] = slices.Sorted(maps.Keys(required))
	}
	d.schemas[t.Name()] = one
	return ref
}
