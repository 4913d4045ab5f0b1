# SPDX-License-Identifier: MIT
"""The OpenAPI document: what is wrong with it, and what it says of an operation."""

import re

import jsonschema

methods = {"get", "put", "post", "delete", "patch"}
name_rule = re.compile(r"^[A-Za-z0-9._-]+$")
operation_rule = re.compile(r"^[a-z]+(_[a-z]+)*$")
media_rule = re.compile(r"^[a-z]+/[a-z.+-]+$")

formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time")
def is_time(value):
    return not isinstance(value, str) or re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None


@formats.checks("uint64")
def is_uint64(value):
    return not isinstance(value, int) or 0 <= value < 2**64


@formats.checks("int64")
def is_int64(value):
    return not isinstance(value, int) or -2**63 <= value < 2**63


def parameters_in(path):
    return re.findall(r"\{([^}]*)\}", path)


def resolve(document, ref):
    """What a reference of the document is to; KeyError for one to nothing."""
    if not ref.startswith("#/"):
        raise KeyError(ref)
    at = document
    for part in ref[2:].split("/"):
        at = at[part.replace("~1", "/").replace("~0", "~")]
    return at


def target_of(document, thing):
    return resolve(document, thing["$ref"]) if "$ref" in thing else thing


def refs_in(thing):
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from refs_in(value)
    elif isinstance(thing, list):
        for each in thing:
            yield from refs_in(each)


class Operation:
    def __init__(self, document, path, method, said):
        self.document, self.path, self.method, self.said = document, path, method, said
        self.id = said.get("operationId", f"{method} {path}")
        self.parameters = said.get("parameters", [])
        self.answers = {int(status): target_of(document, answer)
                        for status, answer in said.get("responses", {}).items()}
        self.needs_token = bool(said.get("security"))

    def named(self, where):
        return {each["name"]: each for each in self.parameters if each["in"] == where}

    def body_schema(self, media="application/json"):
        return self.said.get("requestBody", {}).get("content", {}).get(media, {}).get("schema")

    def mistakes_in(self, value, schema):
        """What a value is otherwise than the schema says."""
        validator = jsonschema.Draft202012Validator(
            schema, resolver=jsonschema.RefResolver("", self.document), format_checker=formats)
        return [f"{each.json_path}: {each.message}" for each in validator.iter_errors(value)]


def operations_of(document):
    return [Operation(document, path, method, said)
            for path, item in document["paths"].items() for method, said in item.items()]


def mistakes_of(document):
    """Which of the rules of OpenAPI 3.1 it breaks, and which of ours."""
    found = []
    say = found.append
    if not re.fullmatch(r"3\.1\.\d+", document.get("openapi", "")):
        say("openapi: not 3.1")
    for key in ("title", "version"):
        if not document.get("info", {}).get(key):
            say(f"info: no {key}")
    allowed = {"openapi", "info", "servers", "tags", "paths", "components"}
    for key in document.keys() - allowed:
        say(f"{key}: unknown")

    for ref in set(refs_in(document)):
        try:
            resolve(document, ref)
        except (KeyError, TypeError):
            say(f"{ref}: refers to nothing")
    if found:
        return found

    used = set(refs_in({key: value for key, value in document.items() if key != "components"}))
    todo = list(used)
    while todo:
        for ref in set(refs_in(resolve(document, todo.pop()))) - used:
            used.add(ref)
            todo.append(ref)
    components = document["components"]
    for kind in ("schemas", "responses"):
        for name in components[kind]:
            if not name_rule.match(name):
                say(f"components/{kind}/{name}: no name for a component")
            if f"#/components/{kind}/{name}" not in used:
                say(f"components/{kind}/{name}: nothing refers to it")

    def check_schema(schema, where):
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            say(f"{where}: {error.message}")
        check_objects(schema, where)

    def check_objects(schema, where):
        """A schema of an object is closed, or a map: what is left open would not be checked."""
        if isinstance(schema, list):
            for at, each in enumerate(schema):
                check_objects(each, f"{where}/{at}")
        elif isinstance(schema, dict):
            if "properties" in schema:
                if schema.get("additionalProperties") is not False:
                    say(f"{where}: takes keys that it does not name")
                for key in set(schema.get("required", [])) - schema["properties"].keys():
                    say(f"{where}: wants {key}, and does not say what that is")
            for key, each in schema.items():
                check_objects(each, f"{where}/{key}")

    for name, schema in components["schemas"].items():
        check_schema(schema, name)

    def check_content(content, where):
        for media, said in content.items():
            if not media_rule.match(media):
                say(f"{where}: {media} is no media type")
            if "schema" not in said:
                say(f"{where}: no schema")
            check_schema(said.get("schema", {}), where)
            for name, schema in said.get("x-millrace-events", {}).items():
                check_schema(schema, f"{where} event {name}")

    tags = [each["name"] for each in document.get("tags", [])]
    schemes = components["securitySchemes"]
    ids, shapes = set(), {}
    for path, item in document["paths"].items():
        if not path.startswith("/") or path.endswith("/"):
            say(f"{path}: no path")
        shape = re.sub(r"\{[^}]*\}", "{}", path)
        if shapes.setdefault(shape, path) != path:
            say(f"{path}: the same as {shapes[shape]}")
        for method in item.keys() - methods:
            say(f"{path}: {method} is no method")
    for each in operations_of(document):
        where = f"{each.method} {each.path}"
        if not operation_rule.match(each.said.get("operationId", "")):
            say(f"{where}: its id is {each.id}")
        if each.id in ids:
            say(f"{where}: another operation is called {each.id}")
        ids.add(each.id)
        for key in ("summary", "description"):
            if not each.said.get(key):
                say(f"{where}: no {key}")
        if each.said.get("summary", "").endswith("."):
            say(f"{where}: its summary is a title, without a full stop")
        if not each.said.get("tags") or set(each.said["tags"]) - set(tags):
            say(f"{where}: tags {each.said.get('tags')}")
        if sorted(each.named("path")) != sorted(parameters_in(each.path)):
            say(f"{where}: its path has {parameters_in(each.path)}, it tells of "
                f"{list(each.named('path'))}")
        keys = [(one["in"], one["name"].lower()) for one in each.parameters]
        if len(keys) != len(set(keys)):
            say(f"{where}: a parameter twice")
        for one in each.parameters:
            if one["in"] not in ("path", "query", "header"):
                say(f"{where}: parameter {one['name']} in {one['in']}")
            if one["in"] == "path" and one.get("required") is not True:
                say(f"{where}: parameter {one['name']} has to be required")
            if not one.get("description"):
                say(f"{where}: parameter {one['name']} has no description")
            check_schema(one["schema"], f"{where} parameter {one['name']}")
        if "requestBody" in each.said:
            if each.method in ("get", "delete"):
                say(f"{where}: a body")
            check_content(each.said["requestBody"]["content"], where)
        if not any(200 <= status < 300 for status in each.answers):
            say(f"{where}: no success")
        for status, answer in each.answers.items():
            if not answer.get("description"):
                say(f"{where} {status}: no description")
            if status >= 400 and list(answer.get("content", {})) != ["application/problem+json"]:
                say(f"{where} {status}: no problem document")
            check_content(answer.get("content", {}), f"{where} {status}")
            for name, header in answer.get("headers", {}).items():
                check_schema(header["schema"], f"{where} {status} {name}")
        for wanted in each.said.get("security", [{"none": []}]):
            if wanted.keys() - schemes.keys():
                say(f"{where}: security {wanted}")
        if each.needs_token and not {401, 403} <= each.answers.keys():
            say(f"{where}: wants a token, and does not tell of 401 and 403")
    return found
