// SPDX-License-Identifier: MIT
#include "artifact/kept_texts.h"

#include <algorithm>

#include "millrace/actors/value.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

std::string name_of(schemas::KeptInput::Reader input) {
  std::string text = "the output \"";
  text.append(text_of(input.getName())).append("\" of '").append(text_of(input.getTask()));
  return text + "'";
}

result<std::vector<std::string>> keep_texts(const std::vector<std::string_view>& texts,
                                            std::string_view run, blob_store& store,
                                            const std::function<bool()>& wanted) {
  std::vector<std::string> digests;
  digests.reserve(texts.size());
  std::vector<blob_store::draft> drafts;
  drafts.reserve(texts.size());
  for (const auto text : texts) {
    if (!wanted()) {
      return error{errc::cancelled, "it is wanted no more"};
    }
    if (auto room = store.check_room(text.size()); !room) {
      return std::move(room).error();
    }
    auto draft = store.begin();
    if (!draft) {
      return std::move(draft).error();
    }
    if (auto written = draft->write(text); !written) {
      return std::move(written).error();
    }
    draft->close();
    digests.push_back(draft->digest());
    drafts.push_back(*std::move(draft));
  }
  if (auto kept = store.keep(run, std::move(drafts)); !kept) {
    return std::move(kept).error();
  }
  return digests;
}

result<std::string> whole_inputs(schemas::LargeInputs::Reader inputs, std::string_view run,
                                 const blob_store& store) {
  const auto json = text_of(inputs.getJson());
  std::string made;
  std::size_t done = 0;
  for (const auto each : inputs.getTexts()) {
    const auto at = std::min<std::size_t>(each.getAt(), json.size());
    made.append(json, done, at - done);
    done = at;
    auto text =
        store.whole_text(run, text_of(each.getText().getDigest()), each.getText().getSize());
    if (!text) {
      return error{text.error().code(), name_of(each) + ": " + text.error().text()};
    }
    made += to_json(make_value(*std::move(text)));
  }
  return made.append(json, done, std::string::npos);
}

}  // namespace millrace::actors
