// SPDX-License-Identifier: MIT
// Artifacts and outputs: what the tasks of a run have left, told by the run; files and large
// outputs are read from the executor that keeps them.
#include <algorithm>

#include "access/principal.h"
#include "api/api.h"
#include "api/blob_reader.h"
#include "api/list_page.h"
#include "api/respond.h"
#include "http/entity_tags.h"
#include "millrace/actors/artifact.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

using http::method;
using http::reply;
using http::request;
using runtime::errc;
using runtime::ref;

namespace {

constexpr std::uint64_t page_files_max = 1'000;

std::string_view bytes_of(const blob_reader::results& piece) {
  const auto bytes = piece.bytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

// What an artifact consists of, and the executor that has told it.
struct known_list {
  std::string executor;
  std::vector<actors::artifact_file> files;
};

struct wanted_artifact {
  std::string run;
  std::string task;
  std::string name;
};

wanted_artifact wanted_in(const request& received) {
  return {std::string{received.param("id")}, std::string{received.param("name")},
          std::string{received.param("artifact")}};
}

// Finds out what an artifact consists of, and says it to `then`, on the thread for files.
class list_reader : public std::enable_shared_from_this<list_reader> {
public:
  using done = std::function<void(const known_list&)>;

  list_reader(const api_parts& parts, const request& received, std::shared_ptr<reply> answer,
              done then)
      : parts_(parts),
        wanted_(wanted_in(received)),
        client_(received.by != nullptr ? "token " + received.by->name : received.from),
        answer_(std::move(answer)),
        then_(std::move(then)) {}

  list_reader(const list_reader&) = delete;
  list_reader& operator=(const list_reader&) = delete;
  ~list_reader() {
    if (counted_ > 0) {
      parts_.lists->give_back(client_, counted_);
    }
  }

  void begin() {
    parts_.silo.call_then<schemas::run_interface::task_results>(
        ref<schemas::Run>(wanted_.run).task(wanted_.task),
        [self = shared_from_this()](const auto& found) { self->find(found); });
  }

private:
  void find(const runtime::result<schemas::run_interface::task_results>& found) {
    if (!found) {
      answer_->fail(found.error());
      return;
    }
    for (auto each : found->task().getArtifacts()) {
      if (each.getName() == wanted_.name.c_str()) {
        digest_ = each.getDigest().cStr();
        reader_ = std::make_shared<blob_reader>(parts_.silo, wanted_.run,
                                                std::string{each.getExecutor().cStr()});
        pull();
        return;
      }
    }
    answer_->fail({errc::not_found,
                   "the task '" + wanted_.task + "' has left no artifact '" + wanted_.name + "'"});
  }

  void pull() {
    reader_->read(digest_, text_.size(),
                  [self = shared_from_this()](const auto& piece) { self->take(piece); });
  }

  void take(const runtime::result<blob_reader::results>& piece) {
    if (!piece) {
      answer_->fail(piece.error());
      return;
    }
    text_ += bytes_of(*piece);
    if (!count()) {
      answer_->fail({errc::unavailable,
                     "the lists of artifacts that are being read take as much memory as they may",
                     std::chrono::seconds{1}});
      return;
    }
    if (text_.size() < piece->size() && !bytes_of(*piece).empty() &&
        text_.size() <= actors::artifact_list_bytes_max) {
      pull();
      return;
    }
    answer_on(parts_.files, answer_, [self = shared_from_this()] { self->tell(); });
  }

  // False: there is no room for more of it.
  bool count() {
    const auto more = text_.size() > small_list_bytes ? text_.size() - counted_ : 0;
    if (more > 0 && !parts_.lists->take(client_, counted_, more)) {
      return false;
    }
    counted_ += more;
    return true;
  }

  void tell() {
    actors::digest_of_stream sum;
    sum.add(text_);
    if (std::move(sum).hex() != digest_) {
      answer_->fail({errc::storage_failed,
                     "what the executor '" + reader_->executor() + "' keeps of it is damaged"});
      return;
    }
    auto list = actors::parse_artifact_list(text_);
    if (!list) {
      answer_->fail({errc::internal, list.error().text()});
      return;
    }
    then_({reader_->executor(), *std::move(list)});
  }

  static constexpr std::size_t small_list_bytes = std::size_t{64} << 10U;

  const api_parts& parts_;
  const wanted_artifact wanted_;
  const std::string client_;
  std::size_t counted_ = 0;  // of `api_parts::lists`
  std::shared_ptr<reply> answer_;
  done then_;
  std::string digest_;
  std::shared_ptr<blob_reader> reader_;
  std::string text_;
};

// A name as a header can have it, and whole as UTF-8 (RFC 6266, 8187).
std::string disposition_of(const std::string& path) {
  const auto name = path.substr(path.rfind('/') + 1);
  constexpr std::string_view plain = "-._~";
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string safe;
  std::string escaped;
  for (const char each : name) {
    const auto is_plain = (each >= '0' && each <= '9') || (each >= 'a' && each <= 'z') ||
                          (each >= 'A' && each <= 'Z') ||
                          plain.find(each) != std::string_view::npos;
    const auto byte = static_cast<unsigned char>(each);
    safe += is_plain ? each : '_';
    escaped +=
        is_plain ? std::string(1, each) : std::string{'%', digits[byte >> 4U], digits[byte & 0xfU]};
  }
  return "attachment; filename=\"" + safe + "\"; filename*=UTF-8''" + escaped;
}

// Sends one file, piece by piece. One that turns out shorter is cut short, which the client sees by
// its length.
class file_sender : public std::enable_shared_from_this<file_sender> {
public:
  file_sender(std::shared_ptr<blob_reader> reader, actors::artifact_file file)
      : reader_(std::move(reader)), file_(std::move(file)) {}

  // The first piece is read before anything is said, so that a refusal has its status.
  void begin(std::shared_ptr<reply> answer) {
    answer_ = std::move(answer);
    pull();
  }

private:
  void open() {
    out_ = answer_->open(200, {{"Content-Type", "application/octet-stream"},
                               {"X-Content-Type-Options", "nosniff"},
                               {"Content-Disposition", disposition_of(file_.path)},
                               {"Content-Length", std::to_string(file_.size)},
                               {"ETag", "\"" + file_.digest + "\""},
                               {"Cache-Control", "private, no-cache"}});
    const auto again = [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->lagging_.exchange(false)) {
        self->go_on();
      }
    };
    out_.on_drained(again);
    out_.on_closed([weak = weak_from_this(), again] {
      if (const auto self = weak.lock()) {
        self->closed_ = true;
        again();
      }
    });
    self_ = shared_from_this();
  }

  void pull() {
    reader_->read(file_.digest, offset_,
                  [self = shared_from_this()](const auto& piece) { self->take(piece); });
  }

  void take(const runtime::result<blob_reader::results>& piece) {
    if (!piece || piece->size() != file_.size) {
      if (*answer_) {
        answer_->fail(piece ? runtime::error{errc::internal, "what the executor keeps is damaged"}
                            : piece.error());
      }
      finish();
      return;
    }
    if (*answer_) {
      open();
    }
    const auto bytes = bytes_of(*piece);
    left_ = std::string{bytes.substr(0, file_.size - offset_)};
    offset_ += left_.size();
    bytes.empty() ? finish() : go_on();
  }

  // A stream takes less at a time than a piece has.
  void go_on() {
    while (!closed_ && !left_.empty()) {
      const auto part = left_.substr(0, part_bytes);
      left_.erase(0, part.size());
      lagging_ = true;
      if (out_.write(part) == http::write_status::full || !lagging_.exchange(false)) {
        return;  // `on_drained` comes back, or is already coming
      }
    }
    closed_ || offset_ == file_.size ? finish() : pull();
  }

  void finish() {
    out_.close();
    self_.reset();
  }

  static constexpr std::size_t part_bytes = std::size_t{64} << 10U;

  const std::shared_ptr<blob_reader> reader_;
  const actors::artifact_file file_;
  std::shared_ptr<reply> answer_;
  http::stream out_;
  std::uint64_t offset_ = 0;  // of what has not been read
  std::string left_;          // read, and not written
  std::atomic<bool> lagging_{false};
  std::atomic<bool> closed_{false};
  std::shared_ptr<file_sender> self_;  // while a lagging client is waited for
};

void artifacts(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", 0, page_files_max);
  if (!limit) {
    answer.fail(limit.error());
    return;
  }
  call_and_answer(
      parts.silo,
      ref<schemas::Run>(std::string{received.param("id")})
          .artifacts(text_in_query(received, "cursor"), static_cast<std::uint32_t>(*limit)),
      std::move(answer));
}

void files(const api_parts& parts, request& received, reply answer) {
  const auto limit = number_in_query(received, "limit", page_files_max, page_files_max);
  if (!limit) {
    answer.fail(limit.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  const auto most = *limit == 0 ? page_files_max : *limit;
  std::make_shared<list_reader>(
      parts, received, shared,
      [shared, most, after = text_in_query(received, "cursor")](const known_list& known) {
        const auto& list = known.files;
        auto page = nlohmann::ordered_json::array();
        auto at = std::upper_bound(
            list.begin(), list.end(), after,
            [](const std::string& path, const auto& each) { return path < each.path; });
        for (; at != list.end() && page.size() < most; ++at) {
          page.push_back({{"id", at->path},
                          {"size", at->size},
                          {"executable", at->executable},
                          {"digest", at->digest}});
        }
        const auto next = at == list.end() ? std::string{} : std::prev(at)->path;
        shared->send(
            answer_of(200, nlohmann::ordered_json{{"files", page}, {"next_cursor", next}}));
      })
      ->begin();
}

void content(const api_parts& parts, request& received, reply answer) {
  const auto tags = http::entity_tags_in(received.headers, "If-None-Match");
  const auto path = text_in_query(received, "path");
  if (!tags || path.empty()) {
    answer.fail(tags ? runtime::error{errc::invalid_argument,
                                      "query parameter 'path' must name one of the files"}
                     : tags.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  std::make_shared<list_reader>(
      parts, received, shared,
      [&parts, shared, path, run = wanted_in(received).run, has = *tags](const known_list& known) {
        const auto& list = known.files;
        const auto found = std::lower_bound(
            list.begin(), list.end(), path,
            [](const auto& each, const std::string& name) { return each.path < name; });
        if (found == list.end() || found->path != path) {
          shared->fail({errc::not_found, "the artifact has no file of that path"});
        } else if (has.match(found->digest)) {
          auto same = http::empty(304);
          same.headers.add("ETag", "\"" + found->digest + "\"");
          shared->send(std::move(same));
        } else {
          std::make_shared<file_sender>(
              std::make_shared<blob_reader>(parts.silo, run, known.executor), *found)
              ->begin(shared);
        }
      })
      ->begin();
}

// A small one is told by the run. Both are sent alike.
void output_text(const api_parts& parts, request& received, reply answer) {
  const auto tags = http::entity_tags_in(received.headers, "If-None-Match");
  if (!tags) {
    answer.fail(tags.error());
    return;
  }
  const auto shared = std::make_shared<reply>(std::move(answer));
  const std::string run{received.param("id")};
  const std::string task{received.param("name")};
  parts.silo.call_then<schemas::run_interface::task_results>(
      ref<schemas::Run>(run).task(task),
      [&parts, shared, run, task, name = std::string{received.param("output")},
       has = *tags](const auto& found) {
        if (!found) {
          shared->fail(found.error());
          return;
        }
        for (auto each : found->task().getOutputs()) {
          if (each.getName() != name.c_str()) {
            continue;
          }
          const auto kept = each.getKept();
          const std::string text{each.getValue().cStr(), each.getValue().size()};
          actors::digest_of_stream sum;
          sum.add(text);
          const auto digest =
              each.hasKept() ? std::string{kept.getDigest().cStr()} : std::move(sum).hex();
          if (has.match(digest)) {
            auto same = http::empty(304);
            same.headers.add("ETag", "\"" + digest + "\"");
            shared->send(std::move(same));
          } else if (each.hasKept()) {
            std::make_shared<file_sender>(
                std::make_shared<blob_reader>(parts.silo, run,
                                              std::string{kept.getExecutor().cStr()}),
                actors::artifact_file{name, kept.getSize(), false, digest})
                ->begin(shared);
          } else {
            auto small = http::text(200, text);
            small.content_type = "application/octet-stream";
            small.headers.add("X-Content-Type-Options", "nosniff");
            small.headers.add("Content-Disposition", disposition_of(name));
            small.headers.add("ETag", "\"" + digest + "\"");
            small.headers.add("Cache-Control", "private, no-cache");
            shared->send(std::move(small));
          }
          return;
        }
        shared->fail({errc::not_found, "the task '" + task + "' has no output '" + name + "'"});
      });
}

}  // namespace

void add_artifact_routes(api_routes& routes) {
  const std::string run = "/api/v1/runs/{id}";
  const auto one = run + "/tasks/{name}/artifacts/{artifact}";
  routes.add(method::get, run + "/artifacts", of_run(role::READ),
             {.id = "list_artifacts",
              .tag = "runs",
              .summary = "The artifacts that the tasks of a run have left",
              .query = {text_key("cursor", "The `next_cursor` of the page before."),
                        number_key("limit", page_files_max,
                                   "About the most of them; those of one task stay together.")},
              .answers = {{.status = 200,
                           .text = "A page; `next_cursor` is empty at the end.",
                           .body = json_of<schemas::Run::ArtifactsResults>()}},
              .problems = {404}},
             artifacts);
  routes.add(method::get, one, of_run(role::READ),
             {.id = "get_artifact",
              .tag = "runs",
              .summary = "The files of an artifact, in order of their paths",
              .query = {text_key("cursor", "The `next_cursor` of the page before."),
                        number_key("limit", page_files_max, "The most of them; 0: 1,000.")},
              .answers = {{.status = 200,
                           .text = "A page; `next_cursor` is empty at the end.",
                           .body = json_media(shape::object(
                               {{"files", shape::list(shape::of<schemas::ArtifactFile>())},
                                {"next_cursor", next_cursor_shape()}}))}},
              .problems = {404, 503}},
             files);
  routes.add(method::get, one + "/content", of_run(role::READ),
             {.id = "read_artifact",
              .tag = "runs",
              .summary = "One file of an artifact",
              .text = "It is never shown by a browser, whatever it is.",
              .query = {text_key("path", "Its path, as the list tells it; needed.")},
              .headers = {{"If-None-Match", "ETags that the client has."}},
              .answers = {{.status = 200,
                           .text = "The bytes.",
                           .body = {.type = "application/octet-stream"},
                           .headers = {{"Content-Disposition", "The name of a file."},
                                       {"ETag", "The SHA-256 of the bytes."}}},
                          {.status = 304,
                           .text = "The client has it.",
                           .headers = {{"ETag", "The SHA-256 of the bytes."}}}},
              .problems = {404, 503}},
             content);
  routes.add(method::get, run + "/tasks/{name}/outputs/{output}", of_run(role::READ),
             {.id = "read_output",
              .tag = "runs",
              .summary = "The text of an output, also of a large one",
              .text = "It is never shown by a browser, whatever it is.",
              .headers = {{"If-None-Match", "ETags that the client has."}},
              .answers = {{.status = 200,
                           .text = "The text, in UTF-8.",
                           .body = {.type = "application/octet-stream"},
                           .headers = {{"Content-Disposition", "The name of a file."},
                                       {"ETag", "The SHA-256 of the text."}}},
                          {.status = 304,
                           .text = "The client has it.",
                           .headers = {{"ETag", "The SHA-256 of the text."}}}},
              .problems = {404, 503}},
             output_text);
}

}  // namespace millrace::gateway
