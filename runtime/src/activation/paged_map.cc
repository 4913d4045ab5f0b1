// SPDX-License-Identifier: MIT
#include "millrace/runtime/paged_map.h"

#include "activation/activation.h"
#include "activation/record_words.h"
#include "activation/row_layout.h"

namespace millrace::runtime::detail {

namespace {

constexpr std::size_t page_bytes_max = std::size_t{4} << 20U;  // as in the header

std::optional<std::string> words_in(std::string_view value) {
  value_reader from{value};
  const auto compressed = (from.u64() & compressed_flag) != 0;
  if (!from.ok()) {
    return std::nullopt;
  }
  return compressed ? decompress_words(from.rest()) : std::string{from.rest()};
}

}  // namespace

paged_map_base::paged_map_base(actor_base& owner, std::string name, schema_source schema)
    : name_(std::move(name)), activation_(owner.activation_) {
  MILLRACE_ASSERT(!name_.empty() && name_.size() <= name_bytes_max);
  activation_->state().add_paged_map({name_, schema(), true});
}

void paged_map_base::check_key(std::string_view key) const {
  if (key.empty() || key.size() > map_key_bytes_max) {
    throw error{errc::invalid_argument, "a key of map '" + name_ + "' has " +
                                            std::to_string(key.size()) + " bytes; 1 to " +
                                            std::to_string(map_key_bytes_max) + " are allowed"};
  }
}

void paged_map_base::put(std::string_view key, std::string_view flat) {
  check_key(key);
  activation_->check_may_change();
  activation_->state().put_paged(name_, key, flat);
}

void paged_map_base::erase(std::string_view key) {
  check_key(key);
  activation_->check_may_change();
  activation_->state().erase_paged(name_, key);
}

paged_map_base::place paged_map_base::where() const {
  return {&activation_->home().rows(), activation_->partition(),
          paged_row(activation_->hash(), name_, {})};
}

paged_rows read_page(const paged_map_base::place& where, const std::string& from,
                     std::size_t limit) {
  paged_rows page;
  std::size_t bytes = 0;
  auto readable = true;
  const auto read = where.rows->scan(
      where.partition, where.prefix, where.prefix + from, limit + 1, [&](const row& one) {
        if (page.rows.size() == limit || bytes >= page_bytes_max) {
          page.more = true;
          return false;
        }
        auto words = words_in(one.value);
        readable = words && words->size() % sizeof(capnp::word) == 0;
        if (readable) {
          bytes += words->size();
          page.rows.emplace_back(one.key.substr(where.prefix.size()), *std::move(words));
        }
        return readable;
      });
  if (!read) {
    throw error{read.error()};
  }
  if (!readable) {
    throw error{errc::storage_failed, "a stored record of a paged map cannot be read"};
  }
  return page;
}

}  // namespace millrace::runtime::detail
