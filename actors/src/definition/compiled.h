// SPDX-License-Identifier: MIT
// The compiled form of a definition: what is stored when it is applied, and what a run works from,
// so that no text of the language is read again at a submit or an activation.
#pragma once

#include "millrace/actors/definition.h"
#include "millrace/definition.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The newest format that `compile` writes and `definition_of` reads. A definition has the oldest
/// whose readers run it as it says: compiled_format.cc tells what is new in which.
inline constexpr std::uint32_t compiled_format = 10;

/// The oldest one whose readers run some of the tasks alone where they are told to.
inline constexpr std::uint32_t parts_format = 7;

/// Requires: a definition from the loader.
void compile(const pipeline_definition& definition, schemas::CompiledPipeline::Builder into);

/// The definition again; equal to what was compiled.
/// Errors: `invalid_argument` for a newer format or a step that this version cannot run.
[[nodiscard]] runtime::result<pipeline_definition> definition_of(
    schemas::CompiledPipeline::Reader compiled);

/// How long its runs are kept.
[[nodiscard]] run_retention retention_of(schemas::CompiledPipeline::Reader compiled);

/// Nothing: as many as are submitted go on.
[[nodiscard]] std::optional<concurrency_definition> concurrency_of(
    schemas::CompiledPipeline::Reader compiled);

/// A JSON object of values; none of an empty text.
[[nodiscard]] std::map<std::string, value> values_of(capnp::Text::Reader text);

[[nodiscard]] schedule_definition schedule_of(schemas::CompiledSchedule::Reader compiled);

[[nodiscard]] runtime::result<watch_definition> watch_of(schemas::CompiledWatch::Reader compiled);

/// The parameters alone, as a definition without tasks: what binding needs.
/// Errors: as definition_of, but for steps.
[[nodiscard]] runtime::result<pipeline_definition> signature_of(
    schemas::CompiledPipeline::Reader compiled);

}  // namespace millrace::actors
