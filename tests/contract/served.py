# SPDX-License-Identifier: MIT
"""Servers whose answers are held against their own document."""

import http.client
import json
import os
import re
import selectors
import signal
import subprocess
import urllib.parse

import document

patience = 60  # seconds


class Program:
    """A program that serves, with its children; asked to stop with the block, or killed."""

    def __init__(self, *command, end=signal.SIGTERM):
        self.end = end
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        pipesize=1 << 20)  # nobody reads what comes later
        self.printed = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, self.end)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()

    def read_until(self, pattern):
        """The match, once what it has printed has one."""
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while not (found := re.search(pattern, self.printed)):
                piece = os.read(self.process.stdout.fileno(), 4096) if ready.select(patience) else b""
                if not piece:
                    raise AssertionError(f"it never printed {pattern!r}: {self.printed}")
                self.printed += piece.decode()
        return found


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """Asks a server, and says what of its answers is otherwise than its document.

    `mistakes` gets that; `succeeded`, by the id of an operation, the arguments of a call that did.
    """

    def __init__(self, address, mistakes, succeeded, token=None):
        self.address, self.token = address, token
        self.mistakes, self.succeeded = mistakes, succeeded
        self.sent = 0
        self.document = json.loads(self.send("GET", "/openapi.json").body)
        if wrong := document.mistakes_of(self.document):
            raise AssertionError("the document is none: " + "; ".join(wrong))
        self.operations = {each.id: each for each in document.operations_of(self.document)}

    def send(self, method, target, body=None, headers=None):
        # Wrong tokens are bounded by the address that they come from, so that is another now and then.
        self.sent += 1
        connection = http.client.HTTPConnection(self.address, timeout=patience, source_address=(
            f"127.0.0.{2 + self.sent // 40 % 200}", 0))
        try:
            connection.request(method, target, body, headers or {})
            told = connection.getresponse()
            return Answer(told.status, told.headers, told.read())
        finally:
            connection.close()

    def call(self, name, status, path=None, query=None, headers=None, body=None, media=None,
             token=True):
        """Asks for an operation, and holds the answer against what is said of it.

        `status` None: any but 400.
        """
        one = self.operations[name]
        target = one.path
        for key in document.parameters_in(one.path):
            target = target.replace("{" + key + "}", urllib.parse.quote(str((path or {})[key]), ""))
        if query:
            target += "?" + urllib.parse.urlencode(query)
        sent = dict(headers or {})
        if token and self.token:
            sent["Authorization"] = f"Bearer {self.token if token is True else token}"
        if body is not None and not isinstance(body, str):
            if (status or 400) < 300 and (schema := one.body_schema()) is not None:
                self.hold(one.mistakes_in(body, schema), f"{name}: its body {body}")
            body = json.dumps(body)
        if body is not None:
            sent["Content-Type"] = media or "application/json"
        answer = self.send(one.method.upper(), target, body, sent)
        where = f"{name} ({one.method.upper()} {target})"
        if answer.status != status if status else answer.status == 400:
            self.mistakes.append(f"{where}: {answer.status} instead of {status}: {answer.body[:400]}")
        self.check(one, answer, where)
        if 200 <= answer.status < 300:
            self.succeeded[name] = {"path": path, "body": body, "media": media}
        return answer

    def hold(self, mistakes, where):
        self.mistakes += [f"{where}: {each}" for each in mistakes]

    def check(self, one, answer, where):
        where = f"{where} {answer.status}"
        said = one.answers.get(answer.status)
        if said is None:
            self.mistakes.append(f"{where}: not told of")
            return
        for name, header in said.get("headers", {}).items():
            if header.get("required") and name not in answer.headers:
                self.mistakes.append(f"{where}: no {name}")
        content = said.get("content", {})
        media = answer.headers.get_content_type() if "Content-Type" in answer.headers else None
        if media is None and not content and not answer.body:
            return
        if media not in content:
            self.mistakes.append(f"{where}: {media} instead of {list(content)}")
        elif media in ("application/json", "application/problem+json"):
            told = answer.json
            self.hold(one.mistakes_in(told, content[media]["schema"]), where)
            if media == "application/problem+json" and told.get("status") != answer.status:
                self.mistakes.append(f"{where}: its document says {told.get('status')}")
        elif media == "application/x-ndjson":
            for line in answer.body.decode().splitlines():
                self.hold(one.mistakes_in(json.loads(line), content[media]["schema"]), where)
        elif media == "text/event-stream":
            self.check_events(one, answer, content[media]["x-millrace-events"], where)

    def check_events(self, one, answer, events, where):
        for block in answer.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n")
                          if ": " in line and not line.startswith(":"))
            if not fields:
                continue
            if fields["event"] not in events:
                self.mistakes.append(f"{where}: an event {fields['event']}")
                continue
            self.hold(one.mistakes_in(json.loads(fields["data"]), events[fields["event"]]),
                      f"{where} event {fields['event']}")
