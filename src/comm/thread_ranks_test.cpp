// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>

#include "core/error.h"
#include "tutti/communicator.h"

namespace tutti {
namespace {

TEST(RunRanks, GivesEachThreadItsNumber) {
  std::atomic<int> seen{0};
  run_ranks(3, [&](Communicator& ranks) {
    EXPECT_EQ(ranks.size(), 3);
    seen += 1 << (4 * ranks.rank());
  });
  EXPECT_EQ(seen, 0x111);
}

TEST(RunRanks, ThrowsWhatOneRankThrewAndEndsTheOthers) {
  std::atomic<int> ended{0};
  try {
    run_ranks(3, [&](Communicator& ranks) {
      if (ranks.rank() == 1) fail(Errc::io, "disk is full");
      try {
        ranks.barrier();
      } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "rank 1 ended the group: disk is full");
        ++ended;
        throw;
      }
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::io);
    EXPECT_STREQ(error.what(), "disk is full");
  }
  EXPECT_EQ(ended, 2);
}

TEST(RunRanks, RefusesMoreThan64) {
  EXPECT_THROW(run_ranks(65, [](Communicator&) {}), Error);
}

}  // namespace
}  // namespace tutti
