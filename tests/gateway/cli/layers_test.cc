// SPDX-License-Identifier: MIT
#include "cli/layers.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "folders.h"

namespace millrace::gateway::cli {
namespace {

namespace po = boost::program_options;

struct setting_up {
  setting_up() {
    options.add_options()("name", po::value<std::string>(), "")(
        "label", po::value<std::vector<std::string>>(), "")("plain-links", "")("help", "")(
        "trace-to", po::value<std::string>(), "");
    add_config_option(options);
  }
  ~setting_up() {
    ::unsetenv("MILLRACE_NAME");
    ::unsetenv("MILLRACE_PLAIN_LINKS");
    ::unsetenv("MILLRACE_TRACE_TO");
    ::unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
  }
  setting_up(const setting_up&) = delete;
  setting_up& operator=(const setting_up&) = delete;

  runtime::result<option_origins> read(const std::vector<std::string>& line,
                                       const std::string& file = {}) {
    auto words = line;
    if (!file.empty()) {
      std::ofstream{folder.path / "silo.yaml"} << file;
      words.insert(words.end(), {"--config", (folder.path / "silo.yaml").string()});
    }
    po::store(po::command_line_parser(words).options(options).run(), values);
    return store_layers(options, values);
  }
  [[nodiscard]] std::string name() const { return text_of(values, "name"); }

  testing::temporary_folder folder;
  po::options_description options;
  option_values values;
};

TEST_CASE("the command line goes before the environment, and that before the file") {
  setting_up one;
  const std::string file = "name: from-file\nlabel: [gpu, zone=attic]\n";
  SUBCASE("the file") {
    REQUIRE(one.read({}, file));
    CHECK(one.name() == "from-file");
    CHECK(one.values["label"].as<std::vector<std::string>>() ==
          std::vector<std::string>{"gpu", "zone=attic"});
  }
  SUBCASE("the environment") {
    ::setenv("MILLRACE_NAME", "from-environment", 1);
    REQUIRE(one.read({}, file));
    CHECK(one.name() == "from-environment");
  }
  SUBCASE("the command line") {
    ::setenv("MILLRACE_NAME", "from-environment", 1);
    REQUIRE(one.read({"--name", "from-line"}, file));
    CHECK(one.name() == "from-line");
  }
}

TEST_CASE("every value tells where it comes from") {
  setting_up one;
  SUBCASE("a variable") {
    ::setenv("MILLRACE_NAME", "from-environment", 1);
    const auto origins = one.read({}, "\nlabel: gpu\nname: from-file\n");
    REQUIRE(origins);
    CHECK(origins->at("name") == "MILLRACE_NAME");
    CHECK(origins->at("label") == (one.folder.path / "silo.yaml").string() + ":2");
    CHECK(origins->at("config") == "command line");
  }
  SUBCASE("a switch that the file turns off") {
    const auto origins = one.read({"--name", "a"}, "plain-links: false\n");
    REQUIRE(origins);
    CHECK(origins->at("name") == "command line");
    CHECK(origins->at("plain-links").ends_with("silo.yaml:1"));
    CHECK_FALSE(origins->contains("label"));
  }
}

TEST_CASE("a switch is true or false in a file") {
  setting_up one;
  SUBCASE("true") {
    REQUIRE(one.read({}, "plain-links: true\n"));
    CHECK(one.values.count("plain-links") == 1);
  }
  SUBCASE("false") {
    REQUIRE(one.read({}, "plain-links: false\n"));
    CHECK(one.values.count("plain-links") == 0);
  }
  SUBCASE("neither") {
    const auto read = one.read({}, "plain-links: maybe\n");
    REQUIRE_FALSE(read);
    CHECK(read.error().text().find(":1:1: error: 'plain-links' is true or false") !=
          std::string::npos);
  }
}

TEST_CASE("what is wrong with a file is told with its place") {
  for (const auto& [file, text] : {
           std::pair{"name: a\nnmae: b\n",
                     ":2:1: error: there is no setting 'nmae' (did you mean 'name'?)"},
           {"- a\n", "settings are a map"},
           {"name: {a: b}\n", "'name' needs a value"},
           {"name: a\nname: b\n", ":2:1"},
           {"name: [a\n", ":"},
           {"config: other.yaml\n", "there is no setting 'config'"},
           {"name: a\n'': b\n", ":2:1: error: there is no setting ''"},
       }) {
    setting_up one;
    const auto read = one.read({}, file);
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == runtime::errc::invalid_argument);
    CHECK_MESSAGE(read.error().text().find(text) != std::string::npos, read.error().text());
  }
}

TEST_CASE("a file that is not there is told") {
  setting_up one;
  const auto read = one.read({"--config", "/nowhere/silo.yaml"});
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == runtime::errc::not_found);
}

TEST_CASE("what OpenTelemetry has programs be told by, and cannot be used, is passed over") {
  setting_up one;
  for (const auto* url : {"collector:4317", "grpc://collector", ""}) {
    CAPTURE(url);
    ::setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
    const auto origins = one.read({});
    REQUIRE(origins);
    CHECK_FALSE(origins->contains("trace-to"));
    CHECK(one.values.count("trace-to") == 0);
  }
}

TEST_CASE("a variable that names no option is somebody else's") {
  setting_up one;
  ::setenv("MILLRACE_", "x", 1);
  CHECK(one.read({}, "name: a\n"));
  ::unsetenv("MILLRACE_");
  CHECK(one.name() == "a");
}

TEST_CASE("what OpenTelemetry has programs be told by goes behind everything of ours") {
  setting_up one;
  ::setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel", 1);
  const auto collector = [&one] { return text_of(one.values, "trace-to"); };
  SUBCASE("alone") {
    const auto origins = one.read({});
    REQUIRE(origins);
    CHECK(collector() == "http://otel");
    CHECK(origins->at("trace-to") == "OTEL_EXPORTER_OTLP_ENDPOINT");
  }
  SUBCASE("beside the file") {
    const auto origins = one.read({}, "trace-to: http://file\n");
    REQUIRE(origins);
    CHECK(collector() == "http://file");
    CHECK(origins->at("trace-to").ends_with("silo.yaml:1"));
  }
  SUBCASE("beside our variable") {
    ::setenv("MILLRACE_TRACE_TO", "http://ours", 1);
    REQUIRE(one.read({}));
    CHECK(collector() == "http://ours");
  }
}

}  // namespace
}  // namespace millrace::gateway::cli
