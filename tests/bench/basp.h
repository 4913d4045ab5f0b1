// SPDX-License-Identifier: MIT
// The yardstick of calls between two silos: CAF's own networking (BASP), two actor systems of this
// process over the loopback.
#pragma once

namespace millrace::bench {

/// Requests with a timeout, each answered by an actor of the other system, `window` of them open;
/// answers a second. Nothing of it is left afterwards: CAF's threads look for work when idle.
double basp_calls(int total, int window);

}  // namespace millrace::bench
