// SPDX-License-Identifier: MIT
// Actor list: a page of the actors of one silo, as one silo tells another (`silo_control.list`).
#pragma once

#include "millrace/runtime/silo.h"
#include "millrace/silo_control.capnp.actor.h"

namespace millrace::actors {

using actor_list_params = schemas::silo_control_interface::list_params;
using actor_list = schemas::silo_control_interface::list_results;

/// The actors of the type that live on `home`; none of a type that it does not host.
///
/// Errors: those of `silo::activations` and `silo::stored_actors`. Cost: blocks, as they do.
[[nodiscard]] runtime::result<actor_list> list_actors(runtime::silo& home,
                                                      const actor_list_params& wanted);

}  // namespace millrace::actors
