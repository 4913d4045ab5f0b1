// SPDX-License-Identifier: MIT
#include "activation/record_words.h"

#include <capnp/common.h>
#include <zstd.h>

#include <memory>

#include "byte_order.h"

namespace millrace::runtime::detail {

namespace {

// The fastest of the usual levels: higher ones save a few percent and take up to twice the time.
constexpr int level = 1;

// A context takes longer to make than a small record to compress, so each thread keeps one.
struct freed {
  void operator()(ZSTD_CCtx* one) const noexcept { ZSTD_freeCCtx(one); }
  void operator()(ZSTD_DCtx* one) const noexcept { ZSTD_freeDCtx(one); }
};

}  // namespace

void append_words(std::string& value, std::string_view flat) {
  if (flat.size() >= compressed_from_bytes) {
    thread_local const std::unique_ptr<ZSTD_CCtx, freed> context{ZSTD_createCCtx()};
    const auto begin = value.size();
    value.resize(begin + flat.size() - flat.size() / 8);
    const auto written =
        context ? ZSTD_compressCCtx(context.get(), value.data() + begin, value.size() - begin,
                                    flat.data(), flat.size(), level)
                : 0;
    if (context && ZSTD_isError(written) == 0) {
      value.resize(begin + written);
      store_little(value.data(), load_little<std::uint64_t>(value.data()) | compressed_flag);
      return;
    }
    value.resize(begin);  // it does not fit: not worth it
  }
  value += flat;
}

std::optional<std::string> decompress_words(std::string_view frame) {
  const auto size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  // What says no size, or is no frame, is larger than any record.
  static_assert(ZSTD_CONTENTSIZE_UNKNOWN > record_bytes_max);
  static_assert(ZSTD_CONTENTSIZE_ERROR > record_bytes_max);
  if (size > record_bytes_max || size % sizeof(capnp::word) != 0) {
    return std::nullopt;
  }
  thread_local const std::unique_ptr<ZSTD_DCtx, freed> context{ZSTD_createDCtx()};
  std::string flat(static_cast<std::size_t>(size), '\0');
  if (!context || ZSTD_decompressDCtx(context.get(), flat.data(), flat.size(), frame.data(),
                                      frame.size()) != flat.size()) {
    return std::nullopt;
  }
  return flat;
}

}  // namespace millrace::runtime::detail
