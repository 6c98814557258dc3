// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/agreement.h"

namespace tutti::runtime {

/// Goes through the collectives of a plan as all ranks would run them, and notes their labels.
///
/// A rank starts its calls in order, but waits where its steps need what an earlier one gives. Each
/// group runs a rank's calls in order; sends and recvs that follow each other move together.
/// Throws invalid_argument for two sides that differ, and when no rank can go on.
void check_order(Agreement& agreement, size_t plan);

}  // namespace tutti::runtime
