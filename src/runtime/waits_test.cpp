// SPDX-License-Identifier: Apache-2.0
#include "runtime/waits.h"

#include <gtest/gtest.h>

#include "ops/collectives.h"
#include "ops/elementwise.h"

namespace tutti::runtime {
namespace {

using Waits = std::vector<std::vector<int32_t>>;

Operand at(int64_t offset, int64_t elements, Place place = Place::arena) {
  return {place, 0, offset, DType::f32, {elements}, {1}};
}

Step step(Op op, Operand in, Operand out) { return {std::move(op), "", {in}, {out}, ""}; }
Step collective(Operand in, Operand out) { return step(AllReduce{}, in, out); }
Step work(Operand in, Operand out) { return step(Cast{DType::f32}, in, out); }

TEST(Waits, ComeBeforeTheResultIsRead) {
  EXPECT_EQ(find_waits({collective(at(0, 4), at(64, 4)), work(at(128, 4), at(192, 4)),
                        work(at(72, 1), at(256, 1))}),
            (Waits{{}, {}, {0}, {}}));
}

TEST(Waits, ComeBeforeTheOperandOrTheResultIsWritten) {
  EXPECT_EQ(find_waits({collective(at(0, 4), at(64, 4)), work(at(128, 1), at(12, 1))}),
            (Waits{{}, {0}, {}}));
  EXPECT_EQ(find_waits({collective(at(0, 4), at(64, 4)), work(at(128, 1), at(64, 1))}),
            (Waits{{}, {0}, {}}));
}

TEST(Waits, LetOthersReadTheOperand) {
  EXPECT_EQ(find_waits({collective(at(0, 4), at(64, 4)), work(at(0, 4), at(128, 4))}),
            (Waits{{}, {}, {0}}));
}

TEST(Waits, TellPlacesApart) {
  EXPECT_EQ(find_waits({collective(at(0, 4), at(64, 4)),
                        work(at(64, 4, Place::input), at(64, 4, Place::output))}),
            (Waits{{}, {}, {0}}));
}

TEST(Waits, ComeOnceForEachCollective) {
  EXPECT_EQ(find_waits({collective(at(0, 4), at(64, 4)), collective(at(64, 4), at(128, 4)),
                        work(at(64, 4), at(256, 4)), work(at(128, 4), at(320, 4))}),
            (Waits{{}, {0}, {}, {1}, {}}));
}

}  // namespace
}  // namespace tutti::runtime
