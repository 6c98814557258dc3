// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/plan.h"

namespace tutti {

/// Checks what every plan promises.
///
/// Ports are those of the graph's function `run` at the plan's symbol values; each step's operator
/// infers the types of its results from those of its operands; every operand lies inside its
/// memory; nothing is written but activations, held memory, outputs and state. Throws
/// invalid_argument naming plan, step (index, operator, scope), operand, found, wanted.
void check_plans(const Program& program);

}  // namespace tutti
