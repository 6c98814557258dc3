// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cpu/isa.h"
#include "plan/plan.h"

namespace tutti {

/// Brings weights that `init` packed for another instruction set, the plans that read them and
/// `init` itself to the layouts of `isa`; bytes are copied without loss. Says in the log what it
/// packed again. False when there was nothing to do.
bool repack_for(Program& program, cpu::Isa isa);

}  // namespace tutti
