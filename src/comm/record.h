// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "comm/collective.h"

namespace tutti::comm {

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

  /// The entry as words that travel to another process, whose clock is `shift_ns` ahead.
  static constexpr int kTravelWords = 12;
  static constexpr int kTravelStart = 4;  // where start_ns lies; the number is first
  void pack(uint64_t* words) const;
  void unpack(const uint64_t* words, int64_t shift_ns);

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  enum Word { kNumber, kWhat, kCount, kHash, kIn, kOut, kStart, kEnd, kLabel, kWords = kLabel + 6 };
  std::atomic<uint64_t> words_[kWords];
};

/// 64 bits that differ for different labels, all but surely.
uint64_t hash_label(std::string_view label);

}  // namespace tutti::comm
