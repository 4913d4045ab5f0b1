// SPDX-License-Identifier: MIT
// Secrets through the real program: what is looked for is their plain text, everywhere.
#include <doctest/doctest.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/dev_cluster.h"
#include "e2e/process.h"

namespace millrace::testing {
namespace {

namespace fs = std::filesystem;

const std::string secret = "correct-horse-battery-staple";
const std::string from_file = "tr0ub4dor-and-three-more";
const std::string from_environment = "qu\"otes & slashes/and-blanks";

void write(const fs::path& file, const std::string& text, mode_t mode = 0600) {
  std::ofstream{file} << text;
  REQUIRE(::chmod(file.c_str(), mode) == 0);
}

// As it stands in a URL.
std::string escaped_for_url(const std::string& text) {
  std::string made;
  for (const auto each : text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(each);
    std::isalnum(byte) != 0 || each == '-' ? made += each
                                           : made += {'%', digits[byte >> 4U], digits[byte & 0xfU]};
  }
  return made;
}

// The halves too: what is cut in two is no less known. The last is `secret` in base64.
std::vector<std::string> plain_texts() {
  std::vector<std::string> made;
  for (const auto& whole :
       {secret, from_file, from_environment, escaped_for_url(from_environment),
        nlohmann::json(from_environment).dump().substr(1, from_environment.size() + 1)}) {
    made.push_back(whole.substr(0, whole.size() / 2));
    made.push_back(whole.substr(whole.size() / 2));
  }
  made.emplace_back("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBs");
  return made;
}

void check_hidden_in(const std::string& what, const std::string& text) {
  CAPTURE(what);
  for (const auto& each : plain_texts()) {
    CHECK_MESSAGE(text.find(each) == std::string::npos, each);
  }
}

// Every file but what tasks leave in their workspaces. Answers how many were looked through. Begins
// again where something goes meanwhile.
int check_hidden_below(const fs::path& data) {
  int files = 0;
  std::error_code gone;
  do {
    files = 0;
    gone.clear();
    fs::recursive_directory_iterator each{data, gone};
    for (; !gone && each != fs::end(each); each.increment(gone)) {
      if (each->path().filename() == "workspaces") {
        each.disable_recursion_pending();
      } else if (std::error_code unknown; each->is_regular_file(unknown)) {
        std::ostringstream content;
        content << std::ifstream{each->path(), std::ios::binary}.rdbuf();
        check_hidden_in(each->path(), content.str());
        ++files;
      }
    }
  } while (gone);
  return files;
}

// A server that has keys, a directory of secrets and tokens.
class secretive_server {
public:
  explicit secretive_server(const fs::path& folder)
      : token_((folder / "root-token").string()),
        running_({"dev", "--listen", "127.0.0.1:0", "--data", (folder / "data").string(), "--slots",
                  "4", "--secrets-key", (folder / "keys").string(), "--secrets-directory",
                  (folder / "secrets").string(), "--root-token", token_, "--log-level", "debug"}) {
    running_.read_until(", data in ");
    const auto& said = running_.said();
    const auto from = said.find("http://");
    REQUIRE(from != std::string::npos);
    url_ = said.substr(from, said.find(',', from) - from);
  }

  finished_command ask(std::vector<std::string> arguments, const std::string& input = {}) const {
    arguments.insert(arguments.end(), {"--server", url_, "--token-file", token_});
    return millrace(arguments, input);
  }
  background_command& running() { return running_; }
  const std::string& url() const { return url_; }
  const std::string& token() const { return token_; }

private:
  std::string token_;
  background_command running_;
  std::string url_;
};

struct secret_folder {
  temporary_folder top;
  fs::path path = top.path;

  secret_folder() {
    const auto key = millrace({"secret", "key"});
    REQUIRE(key.status == 0);
    write(path / "keys", key.output);
    fs::create_directory(path / "secrets");
    write(path / "secrets" / "password", from_file + "\n");
    ::setenv("MILLRACE_SECRET_QUOTED", from_environment.c_str(), 1);  // of the servers
    write(path / "pipeline.yaml", R"(name: secretive
secrets: {TOKEN: {from: project, key: api-token}}
tasks:
  - name: tell
    secrets:
      PASSWORD: {from: file, key: password}
      QUOTED: {from: env, key: QUOTED}
    run: |
      echo "out $TOKEN and $PASSWORD"; echo "err $TOKEN" >&2
      echo "env $QUOTED"
      printf %s "$TOKEN" | base64
      echo "said=$TOKEN" >> "$MILLRACE_OUTPUT"
    outputs: [said]
  - {name: use, needs: [tell], command: [echo, "${{ tasks.tell.outputs.said }}"]}
  - {name: fail, run: 'echo "no $TOKEN" >&2; exit 3'}
  - {name: bad, run: 'echo "$TOKEN" >> "$MILLRACE_OUTPUT"'}
  - {name: lacking, run: echo run, secrets: {GONE: {from: project, key: not-there}}}
  - {name: missing, run: echo run, secrets: {GONE: {from: file, key: not/there}}}
)");
  }
  ~secret_folder() { ::unsetenv("MILLRACE_SECRET_QUOTED"); }
  secret_folder(const secret_folder&) = delete;
  secret_folder& operator=(const secret_folder&) = delete;
  static std::string content_of(const fs::path& file) {
    std::ostringstream content;
    content << std::ifstream{file}.rdbuf();
    return content.str();
  }
};

// Goal: nothing that the program stores, logs or answers has a secret's text.
TEST_CASE("the plain text of secrets is nowhere, though tasks write it everywhere") {
  const secret_folder folder;
  secretive_server server{folder.path};
  const auto set = server.ask({"secret", "set", "api-token"}, secret + "\n");
  REQUIRE_MESSAGE(set.status == 0, set.errors);
  CHECK(set.errors == "secret api-token of project default is stored\n");
  const auto listed = server.ask({"secret", "list", "-o", "json"});
  CHECK(listed.status == 0);
  CHECK(listed.output.find("api-token") != std::string::npos);
  CHECK(listed.output.find("sealed") == std::string::npos);

  REQUIRE(server.ask({"apply", (folder.path / "pipeline.yaml").string()}).status == 0);
  const auto submitted = server.ask({"submit", "secretive"});
  REQUIRE(submitted.status == 0);
  const auto run = submitted.output.substr(0, submitted.output.size() - 1);
  const auto watched = server.ask({"watch", run, "--progress", "json"});
  CHECK(watched.status == 1);

  CHECK(server.ask({"logs", run, "tell"}).output == "out *** and ***\nenv ***\n***Q==\n");
  CHECK(server.ask({"logs", run, "tell", "--stderr"}).output == "err ***\n");
  CHECK(server.ask({"logs", run, "use"}).output == "***\n");
  std::string answers = listed.output + watched.output + watched.errors;
  for (const auto* task : {"tell", "use", "fail", "bad", "lacking", "missing"}) {
    answers += server.ask({"get", run, task, "-o", "json"}).output;
    answers += server.ask({"actor", "state", "task/" + run + "/" + task, "-o", "json"}).output;
  }
  CHECK(answers.find("secret GONE: there is no secret 'not-there' in project 'default'; store it "
                     "by `millrace secret set not-there`") != std::string::npos);
  CHECK(answers.find("secret GONE: the file 'not/there' in ") != std::string::npos);
  for (const auto& each :
       std::vector<std::vector<std::string>>{{"get", run, "-o", "json"},
                                             {"actor", "state", "run/" + run, "-o", "json"},
                                             {"actor", "state", "secrets/default", "-o", "json"},
                                             {"dead-letters", "list", "-o", "json"},
                                             {"audit", "-o", "json"}}) {
    const auto told = server.ask(each);
    CHECK_MESSAGE(told.status == 0, told.errors);
    answers += told.output;
  }
  check_hidden_in("answers", answers);
  CHECK(answers.find("***") != std::string::npos);
  CHECK(check_hidden_below(folder.path / "data") > 5);

  server.running().interrupt();
  const auto ended = server.running().wait();
  CHECK(ended.status == 0);
  CHECK(ended.errors.find("target=/api/v1/projects/default/secrets/api-token") !=
        std::string::npos);
  check_hidden_in("the server's log", ended.output + ended.errors);
  CHECK(check_hidden_below(folder.path / "data") > 5);
}

// Goal: no copy of the state has it, on whichever silo. Method: three silos, all of whose files lie
// below one directory, and tasks on each.
TEST_CASE("no file of any silo of a cluster has the plain text") {
  const secret_folder folder;
  const auto data = folder.path / "data";
  background_command cluster{{"dev", "--silos", "3", "--listen", "127.0.0.1:0", "--data",
                              data.string(), "--secrets-key", (folder.path / "keys").string(),
                              "--secrets-directory", (folder.path / "secrets").string()}};
  cluster.read_until("silo c pid ");
  const auto lines = parse(cluster.printed());
  const auto ask = [&](std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.end(), {"--server", lines.url});
    return millrace(arguments, input);
  };
  REQUIRE(ask({"secret", "set", "api-token"}, secret + "\n").status == 0);
  REQUIRE(ask({"apply", (folder.path / "pipeline.yaml").string()}).status == 0);
  for (int round = 0; round < 3; ++round) {
    const auto submitted = ask({"submit", "secretive"});
    REQUIRE_MESSAGE(submitted.status == 0, submitted.errors);
    const auto run = submitted.output.substr(0, submitted.output.size() - 1);
    CHECK(ask({"watch", run}).status == 1);
    CHECK(ask({"logs", run, "tell"}).output == "out *** and ***\nenv ***\n***Q==\n");
  }
  CHECK(check_hidden_below(data) > 15);
  cluster.interrupt();
  const auto ended = cluster.wait();
  check_hidden_in("the logs", ended.output + ended.errors);
  CHECK(check_hidden_below(data) > 15);
}

// Method: the task has written all of it, and half of it, when the silo dies.
TEST_CASE("a silo that is killed in the midst of it leaves no plain text, and goes on with it") {
  const secret_folder folder;
  const auto gate = folder.path / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  write(folder.path / "gated.yaml", R"(name: gated
tasks:
  - name: wait
    secrets: {TOKEN: {from: project, key: api-token}}
    run: |
      echo "said=$TOKEN" >> "$MILLRACE_OUTPUT"
      echo "$TOKEN" | cut -c1-14 | tr -d '\n' >&2
      echo "all $TOKEN"
      if test "$MILLRACE_ATTEMPT" = 1; then cat )" +
                                        gate.string() + "; fi\n");
  std::string run;
  {
    secretive_server server{folder.path};
    REQUIRE(server.ask({"secret", "set", "api-token"}, secret).status == 0);
    REQUIRE(server.ask({"apply", (folder.path / "gated.yaml").string()}).status == 0);
    const auto submitted = server.ask({"submit", "gated"});
    run = submitted.output.substr(0, submitted.output.size() - 1);
    background_command following{
        {"logs", run, "wait", "-f", "--server", server.url(), "--token-file", server.token()}};
    following.read_until("all ***\n");
    CHECK(check_hidden_below(folder.path / "data") > 5);
    server.running().signal(SIGKILL);
    static_cast<void>(server.running().wait());
  }
  CHECK(check_hidden_below(folder.path / "data") > 5);
  secretive_server server{folder.path};
  CHECK(server.ask({"watch", run}).status == 0);
  CHECK(server.ask({"logs", run, "wait"}).output == "all ***\n");
  CHECK(check_hidden_below(folder.path / "data") > 5);
}

TEST_CASE("a secret that cannot be stored is refused, and left nowhere") {
  const secret_folder folder;
  {
    secretive_server server{folder.path};
    const auto refusal = [&](const std::string& name, const std::string& value) {
      const auto told = server.ask({"secret", "set", name}, value);
      check_hidden_in(name, told.output + told.errors);
      return std::to_string(told.status) + " " + told.errors;
    };
    CHECK(refusal("a/b", secret).starts_with("2 millrace: "));
    CHECK(refusal("short", "abc\n").find("shorter than 4 bytes") != std::string::npos);
    CHECK(refusal("lines", "ab\ncd\nef\n").find("no line of 4 bytes") != std::string::npos);
    CHECK(refusal("long", std::string(65'537, 'x')).find("longer than 64 KiB") !=
          std::string::npos);
    CHECK(refusal("nul", secret + std::string(1, '\0')).find("must be JSON like") !=
          std::string::npos);
    CHECK(refusal("bytes", secret + "\xff").find("no text in UTF-8") != std::string::npos);
    const auto gone = server.ask({"secret", "delete", "nothing"});
    CHECK(gone.status == 5);
    CHECK(gone.errors.find("there is no secret 'nothing' in project 'default'") !=
          std::string::npos);
    CHECK(server.ask({"secret", "list", "-o", "name"}).output.empty());
    server.running().interrupt();
    check_hidden_in("the log", server.running().wait().errors);
  }
  CHECK(check_hidden_below(folder.path / "data") > 1);

  server_process without{folder.path / "other"};
  const auto refused = millrace({"secret", "set", "a", "--server", without.url()}, secret);
  CHECK(refused.status == 6);
  CHECK(refused.errors.find("--secrets-key FILE, which `millrace secret key` makes") !=
        std::string::npos);
  CHECK(check_hidden_below(folder.path / "other") > 1);
}

// Method: a shell has the terminal, and says how it is when the command has gone.
TEST_CASE("a terminal shows what is typed again after a prompt for a secret, however that ends") {
  const secret_folder folder;
  secretive_server server{folder.path};
  struct row {
    std::string typed;
    const char* status;
  };
  const row rows[] = {{secret + "\n", "status 0"}, {"half\x03", "status 130"}};
  for (const auto& each : rows) {
    CAPTURE(each.status);
    int terminal = -1;
    const auto pid = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (pid == 0) {
      ::execl("/bin/sh", "sh", "-c", "trap : INT; \"$@\"; echo \"status $?\"; stty -a; echo end",
              "sh", MILLRACE_PROGRAM, "secret", "set", "typed", "--server",
              std::string{server.url()}.c_str(), "--token-file", server.token().c_str(), nullptr);
      ::_exit(127);
    }
    REQUIRE(pid > 0);
    std::string shown;
    const auto read_until = [&](const std::string& text) {
      std::array<char, 4096> piece;
      while (shown.find(text) == std::string::npos) {
        const auto got = ::read(terminal, piece.data(), piece.size());
        REQUIRE_MESSAGE(got > 0, shown);
        shown.append(piece.data(), static_cast<std::size_t>(got));
      }
    };
    read_until("value of 'typed': ");
    REQUIRE(::write(terminal, each.typed.data(), each.typed.size()) ==
            static_cast<ssize_t>(each.typed.size()));
    read_until("end\r\n");
    CHECK(shown.find(each.status) != std::string::npos);
    CHECK(shown.find(" echo ") != std::string::npos);
    CHECK(shown.find(secret) == std::string::npos);
    ::close(terminal);
    ::waitpid(pid, nullptr, 0);
  }
}

TEST_CASE("a server does not start with keys that others may read, or without a directory") {
  const secret_folder folder;
  const auto start = [&](const std::string& option, const std::string& value) {
    return millrace({"dev", "--listen", "127.0.0.1:0", "--data", (folder.path / "data").string(),
                     option, value});
  };
  write(folder.path / "open", folder.content_of(folder.path / "keys"), 0644);
  const auto open = start("--secrets-key", (folder.path / "open").string());
  CHECK(open.status == 2);
  CHECK(open.errors.find("chmod 600") != std::string::npos);
  const auto none = start("--secrets-key", (folder.path / "none").string());
  CHECK(none.status == 2);
  CHECK(none.errors.find("there is no key file") != std::string::npos);
  const auto nowhere = start("--secrets-directory", (folder.path / "nowhere").string());
  CHECK(nowhere.status == 2);
  CHECK(nowhere.errors.find("there is no such directory") != std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
