// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "core/error.h"

namespace tutti::cpu {
namespace {

TEST(Pool, RunsEveryTaskOnceForAnyNumberOfThreads) {
  for (int threads : {1, 2, 3, 4, 7}) {
    Pool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 17, 100, 10000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      std::atomic<bool> thread_in_range{true};
      pool.parallel(tasks, [&](int64_t task, int thread) {
        runs[static_cast<size_t>(task)].fetch_add(1);
        if (thread < 0 || thread >= threads) thread_in_range = false;
      });
      for (auto& run : runs) ASSERT_EQ(run.load(), 1) << threads << " threads, " << tasks;
      EXPECT_TRUE(thread_in_range);
    }
  }
}

TEST(Pool, GivesRunningTasksDifferentThreads) {
  Pool pool(4);
  std::atomic<int> users[4] = {};
  std::atomic<bool> shared{false};
  for (int round = 0; round < 200; ++round) {
    pool.parallel(16, [&](int64_t, int thread) {
      if (users[thread].fetch_add(1) != 0) shared = true;
      users[thread].fetch_sub(1);
    });
  }
  EXPECT_FALSE(shared);
}

TEST(Pool, PublishesWhatTasksWriteInBothDirections) {
  Pool pool(3);
  std::vector<int64_t> values(64, 1);
  for (int round = 0; round < 2000; ++round) {
    pool.parallel(8, [&](int64_t task, int) {
      for (int64_t i = task * 8; i < task * 8 + 8; ++i) ++values[static_cast<size_t>(i)];
    });
    if (round % 100 == 0) {
      for (int64_t& value : values) ++value;
    }
  }
  for (int64_t value : values) EXPECT_EQ(value, 1 + 2000 + 20);
}

TEST(Pool, RunsNestedCallsInline) {
  Pool pool(3);
  std::atomic<int> inner{0};
  std::atomic<bool> moved{false};
  pool.parallel(5, [&](int64_t, int) {
    const auto here = std::this_thread::get_id();
    pool.parallel(4, [&](int64_t, int thread) {
      if (std::this_thread::get_id() != here || thread != 0) moved = true;
      inner.fetch_add(1);
    });
  });
  EXPECT_EQ(inner.load(), 20);
  EXPECT_FALSE(moved);
}

TEST(Pool, ServesSeveralCallersAtOnce) {
  Pool pool(2);
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        pool.parallel(7, [&](int64_t task, int) { total.fetch_add(task); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 3 * 500 * 21);
}

TEST(Pool, WakesSleepingWorkersAndEndsWhileTheySleep) {
  auto pool = std::make_unique<Pool>(3);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> waiting{0};
    // All three tasks must run at the same time to get past the loop.
    pool->parallel(3, [&](int64_t, int) {
      waiting.fetch_add(1);
      while (waiting.load() < 3) std::this_thread::yield();
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  pool.reset();
}

TEST(Pool, RefusesNoThreads) { EXPECT_THROW(Pool(0), Error); }

TEST(Pool, CountsAtLeastOneCore) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace tutti::cpu
