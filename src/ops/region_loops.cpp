// SPDX-License-Identifier: Apache-2.0
#include "ops/region_loops.h"

namespace tutti {

namespace cpu {
namespace portable {
extern const RegionLoops kRegionLoops;
}
namespace avx2 {
extern const RegionLoops kRegionLoops;
}
namespace avx512 {
extern const RegionLoops kRegionLoops;
}
}  // namespace cpu

const RegionLoops& region_loops(cpu::Isa isa) {
  if constexpr (cpu::kIsX86) {
    if (isa == cpu::Isa::avx512) return cpu::avx512::kRegionLoops;
    if (isa == cpu::Isa::avx2) return cpu::avx2::kRegionLoops;
  }
  return cpu::portable::kRegionLoops;
}

}  // namespace tutti
