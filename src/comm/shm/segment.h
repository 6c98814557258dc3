// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "comm/activity.h"
#include "comm/arrival.h"
#include "comm/fd.h"

namespace tutti::comm {

/// The first failure of a group and of all groups split from it.
struct alignas(64) FailureBlock {
  enum State : uint32_t { kNone, kWriting, kReady };
  std::atomic<uint32_t> state;
  std::atomic<uint32_t> code;
  static constexpr size_t kTextBytes = 1000;
  char text[kTextBytes];  // written once, between kWriting and kReady
};

/// What one rank shows to the others. All zero is the state before it comes.
struct alignas(64) RankBlock : Activity {
  alignas(64) std::atomic<uint32_t> arrived;  // steps it has come to; others sleep on it
  std::atomic<uint32_t> sleepers;             // how many may do so
  alignas(64) std::atomic<uint32_t> bell;     // moves when a pair with this rank does
  std::atomic<uint32_t> bell_sleepers;
  std::atomic<uint32_t> accessing;  // 1 while it touches peers' buffers
  std::atomic<int32_t> pid;
};

/// From one rank to another: a ring of kSlots chunks.
struct alignas(64) Channel {
  static constexpr uint32_t kSlots = 2;
  std::atomic<uint32_t> sent;
  alignas(64) std::atomic<uint32_t> received;
  alignas(64) Record offer[kSlots];  // of the first chunk of a message
};

/// The memory that the ranks of a group share: zero at first, gone with its last user.
class Segment {
 public:
  static constexpr uint64_t kBuffers = 3;

  /// Memory of this process.
  static std::shared_ptr<Segment> of_threads(const Layout& layout);
  /// Nameless memory that goes to other processes by its descriptor.
  static Fd create(const Layout& layout);
  static std::shared_ptr<Segment> map(const Fd& fd, const Layout& layout);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const Layout& layout() const { return layout_; }
  FailureBlock& failure() { return *reinterpret_cast<FailureBlock*>(base_); }
  RankBlock& rank(int r) { return reinterpret_cast<RankBlock*>(base_ + kRanks)[r]; }
  /// size() sends, then size() receives, of rank r's all_to_all_v in buffer `buffer`.
  int64_t* counts(int r, uint64_t buffer);
  std::byte* buffer(int r, uint64_t buffer);
  Channel& channel(int from, int to);
  std::byte* channel_slot(int from, int to, uint32_t slot);
  std::byte* area() { return base_ + at_.area; }

 private:
  static constexpr size_t kRanks = sizeof(FailureBlock);
  struct Offsets {
    size_t counts, channels, slots, buffers, area, end;
  };
  static Offsets offsets(const Layout& layout);
  Segment(void* base, const Layout& layout)
      : base_(static_cast<std::byte*>(base)), layout_(layout), at_(offsets(layout)) {}

  std::byte* base_;
  Layout layout_;
  Offsets at_;
};

}  // namespace tutti::comm
