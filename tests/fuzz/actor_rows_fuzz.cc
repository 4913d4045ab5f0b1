// SPDX-License-Identifier: MIT
// The rows of an actor: they load or are refused, and what was loaded can be changed and committed.
//
// Input, repeated: table (one byte), counted rest of the key, counted value. The value of a root
// gets the actor's id in front, or hardly any would be its own.
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "activation/durable_state.h"
#include "fuzz/fuzz.h"

using namespace millrace::runtime;
using namespace millrace::runtime::detail;

namespace {

const std::string key = "k";
const actor_hash hash = hash_of("t", key);

std::vector<row> rows_in(std::string_view text) {
  std::vector<row> rows;
  while (!text.empty()) {
    const auto table = static_cast<row_table>(millrace::testing::take(text, 1)[0]);
    const auto rest = millrace::testing::take_counted(text);
    std::string value{millrace::testing::take_counted(text)};
    if (table == row_table::root && value.size() >= 8) {
      std::string id;
      append_id(id, "t", key);
      value.insert(8, id);
    }
    rows.push_back({actor_row(hash, table, rest), std::move(value)});
  }
  return rows;
}

// What an activation does with what it finds.
void use(durable_state& state) {
  for (const auto& [name, reminder] : std::map{state.reminders()}) {
    MILLRACE_ASSERT(state.find_reminder(name) != nullptr);
    state.cancel_reminder(name);
    if (!name.empty() && name.size() <= name_bytes_max) {
      state.set_reminder(name, reminder);
    }
  }
  for (const auto& [number, send] : std::map{state.outbox()}) {
    state.end_send(number, number % 2 == 0 ? "" : "refused");
  }
  MILLRACE_ASSERT(state.outbox().empty());
  state.remember_received(hash, {7, {}});
  MILLRACE_ASSERT(state.find_received(hash, 7) != nullptr);
  state.remember_answer(1, "key", {7, wall_time{std::chrono::seconds{1}}, {}}, 1);
  row_ops ops;
  MILLRACE_ASSERT(state.encode(ops).has_value());
  unsigned operations = 0;
  const auto count = [&](auto&&...) { ++operations; };
  MILLRACE_ASSERT(row_ops::for_each(ops.encoded(), count, count).has_value());
  MILLRACE_ASSERT(operations > 0 && !state.changed());
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  durable_state state{"t", key, hash};
  if (!state.load(rows_in(millrace::testing::text_of(data, size)), {})) {
    return 0;
  }
  if (!state.is_loaded()) {  // it was all
    static_cast<void>(state.begin_answer_page());
    MILLRACE_ASSERT(state.take_answer_page(std::vector<row>{}, {}, 1).has_value());
    MILLRACE_ASSERT(state.is_loaded());
  }
  use(state);
  return 0;
}
