// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/region_loops.h"

// For the files that are compiled for each instruction set.
namespace tutti::cpu::TUTTI_ISA {

/// The loop of a function over operands of a lane; null where there is none.
RegionCompute find_compute(Elementwise fn, Lane lane);

}  // namespace tutti::cpu::TUTTI_ISA
