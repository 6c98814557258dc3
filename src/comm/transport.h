// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/record.h"

namespace tutti::comm {

/// A send or recv on its way; made by Transport::open, moved on by advance until it is done.
struct Pair {
  Collective what;
  uint64_t number = 0;  ///< among those between the two ranks in this direction
  uint64_t entry = 0;   ///< among those of this rank; for the transport, as what follows
  uint64_t label_hash = 0;
  std::byte* data = nullptr;
  size_t bytes = 0, moved = 0;
  bool agreed = false;
  bool done = false;
};

/// What the sender of a message says it is; a receiver on `rank` that wants this message finds the
/// same in its own.
void describe_message(const Pair& pair, int rank, Record& record);

/// How the ranks of one group exchange bytes. One thread at a time calls it, but for abort_group
/// and history.
///
/// The caller has checked every collective. A transport compares what its ranks are about to do
/// before it writes to any `out`. After the first failure every call on every rank throws one and
/// the same Error: timeout for a rank that did not come, comm for one that died or left,
/// invalid_argument for ranks that disagree. Ranks in texts are those of the outermost group.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Runs collective `number` of the group, which is no send and no recv.
  virtual void run(const Collective& c, uint64_t number, uint64_t label_hash, const void* in,
                   void* out) = 0;

  /// Begins a send or recv: pair.what, data and bytes are set. advance moves what can be moved and
  /// says whether anything happened. idle, called between fruitless rounds of advance, waits a
  /// little and throws when `since_ns` is longer ago than the deadline; `blame` is one of the
  /// pairs.
  virtual void open(Pair& pair, uint64_t label_hash) = 0;
  virtual bool advance(Pair& pair) = 0;
  virtual void idle(const Pair& blame, int64_t since_ns, int rounds) = 0;

  /// The longest wait for a peer that does nothing.
  virtual void set_deadline(double seconds) = 0;

  /// A group of `members` (ranks of this one, in their new order), this rank among them. All
  /// members call it with the same `name`; no other rank does.
  virtual std::unique_ptr<Transport> split(const std::string& name,
                                           const std::vector<int>& members) = 0;

  /// Fails the group on all ranks, unless it has failed; any thread may call it.
  virtual void abort_group(const std::string& reason) noexcept = 0;

  /// The last collectives of every rank, oldest first; any thread may call it.
  virtual std::vector<std::vector<Entry>> history() const = 0;
};

/// Collectives that each rank remembers.
inline constexpr int kHistory = 32;

}  // namespace tutti::comm
