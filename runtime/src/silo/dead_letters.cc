// SPDX-License-Identifier: MIT
// Dead letters: listing them. Retrying and dropping one is its sender's, see sends.cc.
#include "activation/durable_state.h"
#include "activation/row_layout.h"
#include "byte_order.h"
#include "millrace/runtime/json.h"
#include "silo/list_cursor.h"
#include "silo/silo_access.h"

#include <utility>

namespace millrace::runtime::detail {

namespace {

// Of a letter in the list: its partition, and the key of its row in the index.
constexpr std::size_t place_bytes = 2 + 16 + 8;

std::string place_of(partition_id partition, std::string_view index_key) {
  std::string place(2, '\0');
  store_big(place.data(), static_cast<std::uint16_t>(partition));
  return hex_of(place.append(index_key.substr(dead_index_prefix.size())));
}

}  // namespace

result<std::vector<placed_dead_letter>> silo_core::dead_letters(std::string_view cursor,
                                                                std::size_t limit) {
  std::uint16_t first = 0;
  std::string from{dead_index_prefix};
  if (!cursor.empty()) {
    const auto place = bytes_of(cursor, place_bytes);
    if (!place) {
      return place.error();
    }
    first = load_big<std::uint16_t>(place->data());
    from.append(*place, sizeof first).push_back('\0');  // the first key behind it
  }
  std::vector<placed_dead_letter> all;
  for (auto index = first; index < rows_->partition_count() && all.size() < limit; ++index) {
    const partition_id partition{index};
    const auto begin = std::exchange(from, std::string{dead_index_prefix});
    if (epoch_of(partition) == 0) {
      continue;  // others list what they lead
    }
    std::vector<row> indexed;
    auto read =
        rows_->scan(partition, dead_index_prefix, begin, limit - all.size(), [&](const row& one) {
          indexed.push_back(one);
          return true;
        });
    for (const auto& each : indexed) {
      if (read) {
        read = read_dead_letter(partition, each, all);
      }
    }
    if (!read) {
      return std::move(read).error();
    }
  }
  return all;
}

result<void> silo_core::read_dead_letter(partition_id partition, const row& indexed,
                                         std::vector<placed_dead_letter>& to) {
  value_reader owner{indexed.value};
  dead_letter one;
  one.sender = owner.id();
  const auto number = std::string_view{indexed.key}.substr(indexed.key.size() - 8);
  one.number = load_big<std::uint64_t>(number.data());
  const auto key = actor_row(hash_of(one.sender.type, one.sender.key), row_table::dead, number);
  return rows_->scan(partition, key, key, 1, [&](const row& stored) {
    value_reader value{stored.value};
    static_cast<void>(value.u64());  // the version
    auto what = read_send(value);
    one.error_text = value.rest();
    one.method = "@" + std::to_string(what.method);
    if (const auto* type = find_type(what.type);
        type != nullptr && what.method < type->interface->methods.size()) {
      const auto& method = type->interface->methods[what.method];
      one.method = method.name;
      to_json(method.params(), any_message::from_flat(what.params), one.params,
              json_secrets::masked);
    }
    one.target = {std::move(what.type), std::move(what.key)};
    to.push_back({std::move(one), place_of(partition, indexed.key)});
    return true;
  });
}

}  // namespace millrace::runtime::detail

namespace millrace::runtime {

result<std::vector<placed_dead_letter>> dead_letters_behind(silo& of, std::string_view cursor,
                                                            std::size_t limit) {
  return detail::silo_access::core(of).dead_letters(cursor, limit);
}

}  // namespace millrace::runtime
