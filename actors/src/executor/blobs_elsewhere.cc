// SPDX-License-Identifier: MIT
#include "executor/blobs_elsewhere.h"

#include "millrace/pipeline.capnp.actor.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::result;

namespace {

// An executor on its way out answers nobody; its blobs may be elsewhere.
constexpr runtime::duration blob_within = std::chrono::seconds{5};

}  // namespace

blob_sources blobs_by(runtime::silo& home) {
  return {[&home](const std::string& executor, const std::string& run, const std::string& digest,
                  std::uint64_t offset) -> result<blob_piece> {
            const auto told = home.call(runtime::ref<schemas::Executor>(executor)
                                            .blob(run, digest, offset)
                                            .timeout(blob_within));
            if (!told) {
              return told.error();
            }
            const auto bytes = told->bytes();
            return blob_piece{{reinterpret_cast<const char*>(bytes.begin()), bytes.size()},
                              told->size()};
          },
          [&home] {
            std::vector<std::string> names;
            const auto told = home.call(
                runtime::ref<schemas::Pool>(std::string{pool_key}).status().timeout(blob_within));
            if (told) {
              names.reserve(told->executors().size());
              for (auto each : told->executors()) {
                names.push_back(text_of(each));
              }
            }
            return names;
          }};
}

}  // namespace millrace::actors
