// SPDX-License-Identifier: MIT
// Silo inspection: what one silo tells another of its actors (`silo_control`), as the messages.
//
// What belongs to one actor is told by the silo that has it. Another one that is asked says in
// `lives_on` which that is, as far as it knows, and has done nothing. `home` is the silo that is
// asked.
#pragma once

#include "millrace/runtime/silo.h"
#include "millrace/silo_control.capnp.actor.h"

namespace millrace::actors {

using silo_control = schemas::silo_control_interface;

/// The actors of the type that live on `home`; none of a type that it does not host.
///
/// Errors: those of `silo::activations` and `silo::stored_actors`. Cost: blocks, as they do.
[[nodiscard]] runtime::result<silo_control::list_results> list_actors(
    runtime::silo& home, const silo_control::list_params& wanted);

/// Errors: those of `silo::hosts_of`.
[[nodiscard]] runtime::result<silo_control::hosts_results> hosts_of_actor(
    const runtime::silo& home, const silo_control::hosts_params& wanted);

/// Errors: those of `silo::state_of`; `unavailable` when nobody has the actor now. Cost: blocks.
[[nodiscard]] runtime::result<silo_control::state_of_results> state_of_actor(
    runtime::silo& home, const silo_control::state_of_params& wanted);

/// Errors: those of `silo::deactivate`; `unavailable` when nobody has the actor now.
[[nodiscard]] runtime::result<silo_control::deactivate_actor_results> deactivate_actor(
    runtime::silo& home, const silo_control::deactivate_actor_params& wanted);

/// Errors: those of `silo::dead_letters`. Cost: blocks.
[[nodiscard]] runtime::result<silo_control::dead_letters_results> list_dead_letters(
    runtime::silo& home, const silo_control::dead_letters_params& wanted);

/// Errors: those of `silo::retry_dead_letter`; `unavailable` when nobody has the sender now.
/// Cost: blocks.
[[nodiscard]] runtime::result<silo_control::tend_dead_letter_results> tend_dead_letter(
    runtime::silo& home, const silo_control::tend_dead_letter_params& wanted);

/// The types that have methods for anyone.
[[nodiscard]] silo_control::types_results open_types(const runtime::silo& home);

}  // namespace millrace::actors
