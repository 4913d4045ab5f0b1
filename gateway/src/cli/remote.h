// SPDX-License-Identifier: MIT
// The server that a command's options name, asked over its HTTP API.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "cli/contexts.h"
#include "cli/output.h"
#include "http/client.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway::cli {

/// `--project`.
void add_project_option(boost::program_options::options_description& options);

/// `add_server_option`, `--project` and `-o`.
void add_server_options(boost::program_options::options_description& options);

/// One segment of a path.
[[nodiscard]] std::string escaped(std::string_view text);

/// Says on standard error which silos have not answered for the `what` in `page`: a list without
/// them is not all there is.
void tell_missing_silos(const ordered_json& page, std::string_view what);

/// A run that a person may mean.
struct named_run {
  std::string id;
  std::string about = {};  ///< More for a person: its pipeline and state.
};
/// The one of `runs`, the newest first, that `word` means: `@latest`, an id or the beginning of
/// one, of 4 digits or more. `where`: `of project 'default'`. Errors: `not_found`;
/// `invalid_argument` for a beginning of several, which are named, and for another word with `@`.
[[nodiscard]] runtime::result<std::string> run_among(const std::vector<named_run>& runs,
                                                     const std::string& word,
                                                     const std::string& where);

/// Threading: one thread.
class remote {
public:
  /// Errors: `invalid_argument` for an address or a form that is none.
  [[nodiscard]] static runtime::result<remote> open(const option_values& options);

  /// The same for another thread.
  [[nodiscard]] remote again() const;

  /// The JSON object of an answer below 400; its problem otherwise. Errors: `unavailable` too when
  /// what answers is no millrace server.
  [[nodiscard]] runtime::result<ordered_json> ask(http::method verb, const std::string& target,
                                                  std::string_view body = {},
                                                  const http::header_list& headers = {});

  /// Visits at most `most` of the rows that `target` lists under `key`, page by page.
  /// `visit_page` sees each page before its rows. `from`: the cursor to begin behind. True when
  /// there are more. Errors: as `ask`, and those of `visit`, which end it.
  [[nodiscard]] runtime::result<bool> for_each_row(
      const std::string& target, const char* key, std::size_t most,
      const std::function<runtime::result<void>(const ordered_json&)>& visit,
      const std::function<void(const ordered_json& page)>& visit_page = {}, std::string from = {});

  /// The id of the run that a person means: `@latest`, the latest one of the project; the beginning
  /// of one's id, of 4 digits or more; anything else is taken for an id. Errors: those of
  /// `run_among`; `invalid_argument` for an id beside `--project`; those of `ask`.
  [[nodiscard]] runtime::result<std::string> run_of(const std::string& word);

  /// The error that an answer of 400 or more tells, with the places of its mistakes.
  [[nodiscard]] runtime::error problem_of(const http::client_response& answer) const;

  /// What to say of something that does not answer as a millrace server does.
  [[nodiscard]] runtime::error not_ours() const;

  /// How long an answer may take from now on.
  void set_timeout(runtime::duration timeout);

  [[nodiscard]] http::client& client() { return *client_; }
  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] runtime::steady_time now() const { return clock_->steady(); }
  [[nodiscard]] runtime::wall_time wall() const { return clock_->wall(); }
  [[nodiscard]] output_form form() const { return style_.form; }
  [[nodiscard]] const output_style& style() const { return style_; }
  [[nodiscard]] const std::string& project() const { return project_; }
  /// `/api/v1/projects/NAME/pipelines`.
  [[nodiscard]] std::string pipelines() const;
  /// `/api/v1/projects/NAME/secrets`.
  [[nodiscard]] std::string secrets() const;

private:
  remote(http::client_options options, const output_style& style, std::string project);

  http::client_options options_;
  output_style style_;
  std::string url_;
  std::string project_;
  bool is_project_given_ = false;
  std::unique_ptr<runtime::system_clock> clock_;
  std::unique_ptr<http::client> client_;
};

}  // namespace millrace::gateway::cli
