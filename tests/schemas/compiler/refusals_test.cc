// SPDX-License-Identifier: MIT
// What the schema compiler plug-in refuses, said with file, interface, method and remedy.
#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

// Compiles a schema whose body is `text`; what the plug-in wrote to its standard error.
std::string compile(const std::string& text) {
  std::string pattern = "/tmp/millrace-schema-XXXXXX";
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  const std::filesystem::path folder{pattern};
  std::ofstream{folder / "bad.capnp"} << "@0xd8a5c3e1f2b49671;\n"
                                      << "using Actor = import \"/millrace/actor.capnp\";\n"
                                      << text;
  const auto command = std::string{"capnp compile -I" MILLRACE_SCHEMAS " -o" MILLRACE_CAPNPC ":"} +
                       pattern + " --src-prefix=" + pattern + " " +
                       (folder / "bad.capnp").string() + " 2>&1";
  std::FILE* run = ::popen(command.c_str(), "r");
  REQUIRE(run != nullptr);
  std::string output;
  std::array<char, 4096> chunk;
  while (const auto size = std::fread(chunk.data(), 1, chunk.size(), run)) {
    output.append(chunk.data(), size);
  }
  ::pclose(run);
  std::filesystem::remove_all(folder);
  return output.substr(0, output.find('\n'));
}

TEST_CASE("a method that returns a stream is refused") {
  CHECK(compile("interface A $Actor.actor(\"a\") { go @0 (x :Text) -> stream; }\n") ==
        "bad.capnp: A.go: returns 'stream'; calls of an actor are not streams: give results, or () "
        "for none");
}

TEST_CASE("a sound interface compiles") {
  CHECK(compile("interface A $Actor.actor(\"a\") { go @0 (x :Text) -> (y :Int8); }\n").empty());
  CHECK(compile("interface NoActor { delete @0 (); }\n").empty());
}

TEST_CASE("interfaces and methods that cannot be are refused") {
  CHECK(
      compile("interface A $Actor.actor(\"Bad Name\") { go @0 (); }\n") ==
      "bad.capnp: A: $actor(\"Bad Name\") is not a type name; use lower-case words joined by '_', "
      "such as $actor(\"a\")");
  CHECK(compile("interface A $Actor.actor(\"a\") { }\n") ==
        "bad.capnp: A: has no methods; an actor needs at least one");
  CHECK(
      compile("interface A $Actor.actor(\"a\") { delete @0 (); }\n") ==
      "bad.capnp: A.delete: the name 'delete' is taken in C++ or by the actor API; choose another");
  CHECK(
      compile("interface A $Actor.actor(\"a\") { deactivate @0 (); }\n") ==
      "bad.capnp: A.deactivate: the name 'deactivate' is taken in C++ or by the actor API; choose "
      "another");
  CHECK(compile("interface A $Actor.actor(\"a\") { go @0 () -> (x :Int8) $Actor.oneWay; }\n") ==
        "bad.capnp: A.go: is $oneWay but has results; drop the one or the other");
  CHECK(
      compile("interface A $Actor.actor(\"a\") { go @0 () $Actor.readOnly $Actor.reentrant; }\n") ==
      "bad.capnp: A.go: is both $readOnly and $reentrant; choose one");
  CHECK(compile("interface A $Actor.actor(\"a\") { go @0 () $Actor.timeout(0); }\n") ==
        "bad.capnp: A.go: $timeout is 0; give milliseconds, or leave it out for 30,000");
  CHECK(
      compile("interface A $Actor.actor(\"a\") { go @0 (other :A); }\n") ==
      "bad.capnp: A.go: field 'other' is a capability or AnyPointer; messages hold data: pass the "
      "actor's key as Text");
  CHECK(compile("interface A $Actor.actor(\"a\") { go @0 (); }\n"
                "interface B extends(A) $Actor.actor(\"b\") { on @0 (); }\n") ==
        "bad.capnp: B: extends another interface; list all methods in one interface");
}

TEST_CASE("placements that cannot be are refused") {
  CHECK(compile("interface A $Actor.actor(\"a\") $Actor.stateless(2) { go @0 (); }\n").empty());
  CHECK(compile("interface A $Actor.actor(\"a\") $Actor.siloBound $Actor.stateless(2) {\n"
                "  go @0 ();\n}\n") ==
        "bad.capnp: A: has more than one of $stateless, $siloBound and $labels; choose one");
  CHECK(compile("interface A $Actor.actor(\"a\") $Actor.labels(\"\") { go @0 (); }\n") ==
        "bad.capnp: A: $labels is empty; name at least one label, or leave it out");
  CHECK(compile("interface A $Actor.actor(\"a\") $Actor.labels(\"a, b\") { go @0 (); }\n") ==
        "bad.capnp: A: $labels has a quote, backslash or space; join plain words by ','");
  CHECK(compile("interface A $Actor.actor(\"a\") $Actor.siloBound $Actor.group(\"g\") {\n"
                "  go @0 ();\n}\n") ==
        "bad.capnp: A: has $group or $affinity but no durable state; drop them: they choose a "
        "partition");
}

}  // namespace
