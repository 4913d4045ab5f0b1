// SPDX-License-Identifier: MIT
// capnpc-millrace: the Cap'n Proto compiler plug-in that makes actor interfaces usable from C++.
//
// `capnp compile -o capnpc-millrace counter.capnp` reads a CodeGeneratorRequest (schema.capnp) on
// standard input and writes `counter.capnp.actor.h` beside what the C++ plug-in writes: per
// interface with `$actor` its messages with accessors, the base class of its implementations, and
// the typed reference. What the schema cannot mean is refused here, with the place and a remedy,
// rather than in the C++ that would come out.
#include <capnp/schema-loader.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "compiler/actor_schema.h"
#include "compiler/header_writer.h"

// NOLINTBEGIN(performance-inefficient-string-concatenation): text of a build step

namespace {

using namespace millrace::schemas::compiler;

void collect(capnp::SchemaLoader& loader, capnp::Schema scope, schema_names& names,
             std::vector<actor_interface>& found) {
  for (auto nested : scope.getProto().getNestedNodes()) {
    auto schema = loader.get(nested.getId());
    if (schema.getProto().isInterface() && is_actor(schema.asInterface())) {
      found.push_back(read_actor(schema.asInterface(), names));
    }
    collect(loader, schema, names, found);
  }
}

int compile() {
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 1U << 30U;
  capnp::StreamFdMessageReader input{0, limits};
  auto request = input.getRoot<capnp::schema::CodeGeneratorRequest>();
  capnp::SchemaLoader loader;
  for (auto node : request.getNodes()) {
    loader.load(node);
  }
  schema_names names{loader};
  for (auto file : request.getRequestedFiles()) {
    const std::string name = file.getFilename().cStr();
    std::vector<actor_interface> found;
    collect(loader, loader.get(file.getId()), names, found);
    if (const auto folder = std::filesystem::path{name}.parent_path(); !folder.empty()) {
      std::filesystem::create_directories(folder);
    }
    std::ofstream out{name + ".actor.h"};
    out << actor_header(name, found);
    if (!out.flush()) {
      throw schema_error{name + ": cannot write " + name + ".actor.h"};
    }
  }
  return 0;
}

}  // namespace

int main() {
  try {
    return compile();
  } catch (const schema_error& refused) {
    std::cerr << refused.what() << '\n';
  } catch (const std::exception& failed) {
    std::cerr << "capnpc-millrace: " << failed.what() << '\n';
  } catch (const kj::Exception& thrown) {
    std::cerr << "capnpc-millrace: " << thrown.getDescription().cStr() << '\n';
  }
  return 1;
}

// NOLINTEND(performance-inefficient-string-concatenation)
