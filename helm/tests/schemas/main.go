// SPDX-License-Identifier: MIT

// Writes a JSON schema for each kind of Kubernetes that the chart renders, from the Go types of the
// API itself: every field has its type, none else is allowed, and those that the types do not let
// be left out are required. What values a text may have, the types do not say.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type schema map[string]any

// Types that JSON writes otherwise than Go holds them.
var written = map[reflect.Type]schema{
	reflect.TypeOf(meta.Time{}):          {"type": "string"},
	reflect.TypeOf(meta.MicroTime{}):     {"type": "string"},
	reflect.TypeOf(meta.FieldsV1{}):      {"type": "object"},
	reflect.TypeOf(resource.Quantity{}):  {"type": []string{"string", "number"}},
	reflect.TypeOf(intstr.IntOrString{}): {"type": []string{"string", "integer"}},
	reflect.TypeOf([]byte{}):             {"type": "string"},
}

func of(t reflect.Type) schema {
	if known, ok := written[t]; ok {
		return known
	}
	switch t.Kind() {
	case reflect.Pointer:
		return of(t.Elem())
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int32, reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Slice:
		return schema{"type": "array", "items": of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": of(t.Elem())}
	case reflect.Struct:
		fields, required := schema{}, []string{}
		add(t, fields, &required)
		made := schema{"type": "object", "additionalProperties": false, "properties": fields}
		if len(required) > 0 {
			made["required"] = required
		}
		return made
	}
	panic("no schema for " + t.String())
}

func add(t reflect.Type, fields schema, required *[]string) {
	for at := 0; at < t.NumField(); at++ {
		field := t.Field(at)
		name, rest, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && strings.Contains(rest, "inline") {
			add(field.Type, fields, required)
			continue
		}
		fields[name] = of(field.Type)
		if !strings.Contains(rest, "omitempty") {
			*required = append(*required, name)
		}
	}
}

func main() {
	kinds := map[string][]any{
		"-v1": {core.ConfigMap{}, core.Pod{}, core.Secret{}, core.Service{}, core.ServiceAccount{}},
		"-apps-v1":        {apps.Deployment{}, apps.StatefulSet{}},
		"-autoscaling-v2": {autoscaling.HorizontalPodAutoscaler{}},
		"-batch-v1":       {batch.CronJob{}, batch.Job{}},
		"-networking-v1":  {networking.Ingress{}, networking.NetworkPolicy{}},
		"-policy-v1":      {policy.PodDisruptionBudget{}},
	}
	for suffix, values := range kinds {
		for _, value := range values {
			t := reflect.TypeOf(value)
			text, err := json.Marshal(of(t))
			file := filepath.Join(os.Args[1], strings.ToLower(t.Name())+suffix+".json")
			if err == nil {
				err = os.WriteFile(file, text, 0o644)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}
