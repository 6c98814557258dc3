// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/lane.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace tutti::comm {
namespace {

/// A wire without a thread: copies at once, or what is wanted only later.
class CopyPort : public Port {
 public:
  CopyPort(const std::byte* from, std::byte* to) : from_(from), to_(to) {}
  void put(size_t at, size_t bytes) noexcept override { std::memcpy(to_ + at, from_ + at, bytes); }
  void put_acknowledgement() noexcept override {
    ++acknowledgements;
    to_[0] = from_[0];
  }
  void settle() noexcept override {}
  int acknowledgements = 0;

 private:
  const std::byte* from_;
  std::byte* to_;
};

/// Both ends of a lane, over a wire or in shared memory.
struct Ends {
  explicit Ends(bool wire, Lane::Shape shape = {256, 4}) {
    for (auto& memory : memories) memory.resize(shape.bytes() + 64);
    const auto at = [&](int i) {
      const auto address = reinterpret_cast<uintptr_t>(memories[i].data());
      return memories[i].data() + (64 - address % 64) % 64;
    };
    auto forth = std::make_unique<CopyPort>(at(0), at(1));
    auto back = std::make_unique<CopyPort>(at(2), at(3));
    back_port = back.get();
    if (wire) {
      a.emplace(shape, at(0), at(3), std::move(forth));
      b.emplace(shape, at(2), at(1), std::move(back));
    } else {
      a.emplace(shape, at(0), at(2), nullptr);
      b.emplace(shape, at(2), at(0), nullptr);
    }
  }
  std::vector<std::byte> memories[4];
  CopyPort* back_port = nullptr;
  std::optional<Lane> a, b;
};

void send(Lane& lane, size_t bytes, int value) {
  ASSERT_TRUE(lane.has_room());
  std::memset(lane.place(bytes), value, bytes);
  lane.send(bytes);
}
void expect(Lane& lane, size_t bytes, int value) {
  ASSERT_TRUE(lane.has_message());
  const auto message = lane.front();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(message.data()) % 64, 0u);
  ASSERT_EQ(message.size(), bytes);
  for (std::byte x : message) ASSERT_EQ(x, static_cast<std::byte>(value));
  lane.pop();
}

class Lanes : public testing::TestWithParam<bool> {};

TEST_P(Lanes, CarryMessagesOfAllSizesInOrder) {
  Ends ends(GetParam());
  // Often enough for bells and counts to begin anew.
  for (int i = 0; i < 3000; ++i) {
    const auto bytes = static_cast<size_t>(i) % 193;
    EXPECT_FALSE(ends.b->has_message());
    send(*ends.a, bytes, i);
    expect(*ends.b, bytes, i);
  }
}

TEST_P(Lanes, HaveRoomForTheirPlacesAndAgainOnceTaken) {
  Ends ends(GetParam());
  for (int round = 0; round < 100; ++round) {
    int sent = 0;
    while (ends.a->has_room()) send(*ends.a, 10, round + sent++);
    EXPECT_GE(sent, 3) << "at most one taken message is not known to be";
    EXPECT_LE(sent, 4);
    for (int i = 0; i < sent; ++i) expect(*ends.b, 10, round + i);
    EXPECT_FALSE(ends.b->has_message());
  }
}

TEST_P(Lanes, KnowWhatHasCome) {
  Ends ends(GetParam());
  for (int i = 0; i < 300; ++i) {
    const uint64_t sent = ends.a->sent();
    EXPECT_TRUE(ends.b->has_come(sent));
    EXPECT_FALSE(ends.b->has_come(sent + 1));
    send(*ends.a, 5, i);
    EXPECT_TRUE(ends.b->has_come(sent + 1));
    expect(*ends.b, 5, i);
    EXPECT_TRUE(ends.b->has_come(sent + 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Memory, Lanes, testing::Bool(),
                         [](const auto& info) { return info.param ? "wire" : "shared"; });

TEST(LanesOverAWire, AcknowledgeAlongWithMessagesTheOtherWay) {
  Ends ends(true);
  for (int i = 0; i < 100; ++i) {
    send(*ends.a, 8, i);
    expect(*ends.b, 8, i);
    send(*ends.b, 8, i);
    expect(*ends.a, 8, i);
  }
  EXPECT_EQ(ends.back_port->acknowledgements, 0);
}

}  // namespace
}  // namespace tutti::comm
