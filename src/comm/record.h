// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "comm/collective.h"

namespace tutti::comm {

/// What one rank did or does: one line of the history that each rank keeps.
struct Entry {
  uint64_t number = 0;  ///< of the group's collectives from 1; of sends and recvs between two ranks
  Kind kind = Kind::barrier;
  DType dtype = DType::f32;
  Reduce reduce = Reduce::sum;
  int root = 0;
  int64_t count = 0;
  uint64_t label_hash = 0;
  int64_t start_ns = 0;  ///< of the machine's monotonic clock
  int64_t end_ns = 0;    ///< 0 while it runs
  std::string label;     ///< cut to kLabelBytes

  static constexpr size_t kLabelBytes = 48;
};

/// "all_reduce #17 'blocks.3.out' (sum f32 x 1024)"
std::string to_string(const Entry& entry);

/// An entry in memory that other threads or processes read at any time. Plain words: what lies in
/// shared memory has no pointers.
class Record {
 public:
  /// Opens the entry; allocates nothing.
  void begin(const Collective& c, uint64_t number, uint64_t label_hash, int64_t now_ns);
  /// Publishes the addresses of the buffers, for peers in the same process.
  void set_buffers(const void* in, void* out);
  void end(int64_t now_ns) { words_[kEnd].store(static_cast<uint64_t>(now_ns), kRelaxed); }

  /// True when number, kind, dtype, reduction, root, count and label of both agree.
  bool matches(const Record& other) const;
  const void* in() const { return reinterpret_cast<const void*>(words_[kIn].load(kRelaxed)); }
  void* out() const { return reinterpret_cast<void*>(words_[kOut].load(kRelaxed)); }
  uint64_t number() const { return words_[kNumber].load(kRelaxed); }
  bool is_open() const { return number() != 0 && words_[kEnd].load(kRelaxed) == 0; }
  Entry read() const;

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  enum Word { kNumber, kWhat, kCount, kHash, kIn, kOut, kStart, kEnd, kLabel, kWords = kLabel + 6 };
  std::atomic<uint64_t> words_[kWords];
};

/// 64 bits that differ for different labels, all but surely.
uint64_t hash_label(std::string_view label);

}  // namespace tutti::comm
