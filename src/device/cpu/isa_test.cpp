// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/isa.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tutti::cpu {
namespace {

TEST(Isa, NamesParseToThemselves) {
  for (int i = 0; i < kIsaCount; ++i) {
    EXPECT_EQ(parse_isa(to_string(static_cast<Isa>(i))), static_cast<Isa>(i));
  }
  EXPECT_FALSE(parse_isa("sse9"));
}

TEST(Isa, StartsWithTheBestTheMachineHas) {
  EXPECT_EQ(current_isa(), best_isa());
  EXPECT_TRUE(is_supported(best_isa()));
  EXPECT_TRUE(is_supported(Isa::portable));
}

TEST(Isa, SetsWhatIsSupportedAndRefusesTheRest) {
  const Isa before = current_isa();
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (is_supported(isa)) {
      set_isa(isa);
      EXPECT_EQ(current_isa(), isa);
    } else {
      EXPECT_THROW(set_isa(isa), Error);
    }
  }
  set_isa(before);
}

}  // namespace
}  // namespace tutti::cpu
