// SPDX-License-Identifier: MIT
#include "artifact/artifact_collection.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "artifact/path_pattern.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/resources.h"
#include "pipeline/names.h"
#include "process/failure.h"
#include "process/task_file.h"

namespace millrace::actors {

using process_detail::entries_of;
using process_detail::kind_of;
using process_detail::open_directory;
using process_detail::open_regular;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// Names that are looked at for one artifact: what a mistake like `**` costs at most.
constexpr std::size_t entries_max = 1'000'000;
// Of characters, while they are looked at: some seconds.
constexpr auto comparisons_max = std::uint64_t{1} << 32U;
// Each level holds a directory open.
constexpr std::size_t depth_max = 100;

// One artifact, gone for through the workspace.
class collector {
public:
  collector(schemas::ArtifactWish::Reader wish, const path_pattern& pattern, blob_store& store,
            const std::function<bool()>& wanted)
      : bytes_max_(wish.getMaxSize()), pattern_(pattern), store_(store), wanted_(wanted) {}

  result<void> visit(int directory, const std::string& path, const path_pattern::places& at,
                     bool all_of_it, std::size_t depth) {
    if (depth > depth_max) {
      return refuse("'" + shown_name(path) + "' lies deeper than " + std::to_string(depth_max) +
                    " directories");
    }
    auto names = entries_of(directory, entries_max - seen_ + 1);
    seen_ += names.size();
    if (seen_ > entries_max) {
      return refuse("there are more than " + std::to_string(entries_max) +
                    " names to look through; write a pattern that begins with a directory");
    }
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
      if (!wanted_()) {
        return error{errc::cancelled, "it is wanted no more"};
      }
      auto step = pattern_.follow(at, name);
      step.is_taken = step.is_taken || all_of_it;
      work_ += step.work;
      if (work_ > comparisons_max) {
        return refuse("there are too many patterns, with too many stars, for " +
                      std::to_string(seen_) +
                      " names or more; begin them with the directories that are meant");
      }
      if (step.is_taken || !step.below.empty()) {
        auto below = path;
        below.append(path.empty() ? "" : "/").append(name);
        if (auto done = look_at(directory, below, name, step, depth); !done) {
          return done;
        }
      }
    }
    return {};
  }

  std::vector<artifact_file> files;
  std::vector<blob_store::draft> drafts;
  std::uint64_t bytes = 0;
  std::string passed_over;  // the first that was meant and is no file

private:
  static error refuse(const std::string& why) { return {errc::failed_precondition, why}; }

  result<void> look_at(int directory, const std::string& path, const std::string& name,
                       const path_pattern::step& step, std::size_t depth) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return {};  // it has gone
    }
    if (S_ISDIR(status.st_mode)) {
      const auto below = open_directory(directory, name);
      if (!below) {
        return refuse("'" + shown_name(path) + "': " + below.error().text());
      }
      return visit(below->get(), path, step.below, step.is_taken, depth + 1);
    }
    if (!step.is_taken) {
      return {};
    }
    if (!S_ISREG(status.st_mode)) {
      if (passed_over.empty()) {
        passed_over = "'" + shown_name(path) + "' is " + kind_of(status.st_mode);
      }
      return {};
    }
    return take(directory, path, name);
  }

  result<void> take(int directory, const std::string& path, const std::string& name) {
    if (const auto why = refusal_of_artifact_path(path); !why.empty()) {
      return refuse("the path '" + shown_name(path) + "' " + why);
    }
    if (files.size() == artifact_files_max) {
      return refuse("there are more than " + std::to_string(artifact_files_max) +
                    " files; pack them into one");
    }
    const auto file = open_regular(directory, name, O_RDONLY);
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0) {
      return refuse("'" + shown_name(path) +
                    "': " + (file ? process_detail::describe_errno(errno) : file.error().text()));
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > bytes_max_ - bytes) {
      return too_large(path);
    }
    auto copied = store_.copy(file->get(), bytes_max_ - bytes, wanted_);
    if (!copied) {
      return copied.error().code() == errc::too_large ? too_large(path) : copied.error();
    }
    bytes += copied->size();
    files.push_back({path, copied->size(), (status.st_mode & S_IXUSR) != 0, copied->digest()});
    drafts.push_back(*std::move(copied));
    return {};
  }

  [[nodiscard]] error too_large(const std::string& path) const {
    return refuse("with '" + shown_name(path) + "' it is larger than its max_size, " +
                  format_amount("memory", bytes_max_));
  }

  const std::uint64_t bytes_max_;
  const path_pattern& pattern_;
  blob_store& store_;
  const std::function<bool()>& wanted_;
  std::size_t seen_ = 0;
  std::uint64_t work_ = 0;
};

std::string patterns_text(const std::vector<std::string>& patterns) {
  std::string text;
  for (const auto& each : patterns) {
    text += (text.empty() ? "'" : ", '") + shown_name(each) + "'";
  }
  return text;
}

// Nothing of one that is optional and not there.
result<std::optional<kept_artifact>> collect(schemas::ArtifactWish::Reader wish, int workspace,
                                             blob_store& store, const std::function<bool()>& wanted,
                                             std::vector<blob_store::draft>& drafts) {
  std::vector<std::string> patterns;
  patterns.reserve(wish.getPaths().size());
  for (auto each : wish.getPaths()) {
    patterns.push_back(text_of(each));
  }
  const path_pattern pattern{patterns};
  collector found{wish, pattern, store, wanted};
  if (auto done = found.visit(workspace, {}, pattern.begin(), false, 1); !done) {
    return std::move(done).error();
  }
  if (found.files.empty()) {
    if (wish.getOptional()) {
      return std::optional<kept_artifact>{};
    }
    return error{errc::failed_precondition,
                 "no file of the workspace fits " + patterns_text(patterns) +
                     (found.passed_over.empty() ? "" : ": " + found.passed_over)};
  }
  std::sort(found.files.begin(), found.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  auto list = store.begin();
  if (!list) {
    return std::move(list).error();
  }
  if (auto written = list->write(to_text(found.files)); !written) {
    return std::move(written).error();
  }
  list->close();
  kept_artifact made{text_of(wish.getName()), list->digest(),
                     static_cast<std::uint32_t>(found.files.size()), found.bytes};
  drafts.push_back(*std::move(list));
  std::move(found.drafts.begin(), found.drafts.end(), std::back_inserter(drafts));
  return std::optional{std::move(made)};
}

}  // namespace

result<std::vector<kept_artifact>> collect_artifacts(
    capnp::List<schemas::ArtifactWish>::Reader wishes, int workspace, std::string_view run,
    blob_store& store, const std::function<bool()>& wanted) {
  std::vector<kept_artifact> made;
  made.reserve(wishes.size());
  std::vector<blob_store::draft> drafts;
  for (auto wish : wishes) {
    auto one = collect(wish, workspace, store, wanted, drafts);
    if (!one) {
      return error{one.error().code(),
                   "the artifact \"" + text_of(wish.getName()) + "\": " + one.error().text()};
    }
    if (*one) {
      made.push_back(**std::move(one));
    }
  }
  if (auto kept = store.keep(run, std::move(drafts)); !kept) {
    return std::move(kept).error();
  }
  return made;
}

}  // namespace millrace::actors
