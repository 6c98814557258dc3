// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shm/rendezvous.h"
#include "comm/transport.h"

namespace tutti::comm {

/// Sizes at which ways of moving data change; all ranks use the same.
struct ShmOptions {
  size_t chunk_bytes = 256 << 10;      ///< of each of three buffers per rank; 64 per rank at least
  size_t pair_chunk_bytes = 32 << 10;  ///< of a send's pieces
  size_t one_step_bytes = 16 << 10;    ///< all_reduce up to this: every rank reduces everything
  size_t direct_bytes = 8 << 10;       ///< threads read peers' buffers from this on
  size_t stream_bytes = 4 << 20;       ///< outputs from this size on go past the caches
};

/// Ranks of one machine: threads of a process, or processes.
///
/// Data goes through buffers in the group's segment in chunks, one step of the group for each;
/// large messages between threads go from buffer to buffer. Reductions are split over ranks and
/// done in the order of ranks.
class ShmTransport : public Transport {
 public:
  /// Joins the group `name`; see Rendezvous::join for what it throws.
  static std::unique_ptr<Transport> join(std::shared_ptr<Rendezvous> meeting,
                                         const std::string& name, int rank, int size,
                                         double timeout_s, const ShmOptions& options = {});

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  void run(const Collective& c, uint64_t number, uint64_t label_hash, const void* in,
           void* out) override;
  void open(Pair& pair, uint64_t label_hash) override;
  bool advance(Pair& pair) override;
  void idle(const Pair& blame, int64_t since_ns, int rounds) override;
  void set_deadline(double seconds) override;
  std::unique_ptr<Transport> split(const std::string& name,
                                   const std::vector<int>& members) override;
  void abort_group(const std::string& reason) noexcept override;
  std::vector<std::vector<Entry>> history() const override;

 private:
  ShmTransport(std::shared_ptr<Rendezvous> meeting, Membership membership,
               const ShmOptions& options);

  // One collective on its way.
  struct Work {
    const Collective& c;
    Record& record;
    const std::byte* in;
    std::byte* out;
    size_t element;  // bytes
    bool stream;     // out goes past the caches
    bool compared = false;
  };

  // The first step of a collective: nobody goes on unless all want the same.
  void step(Work& w);
  void compare(const Work& w);
  void compare_counts(const Work& w);
  bool goes_direct(Work& w);

  // staged.cpp: through the segment.
  template <class In, class Out>
  void chunks(Work& w, int64_t count, int64_t chunk, const In& in, const Out& out);
  void staged(Work& w);
  void staged_reduce_at_once(Work& w, int64_t chunk);
  void staged_reduce(Work& w, int64_t chunk);
  void staged_reduce_scatter(Work& w);
  void staged_from_each(Work& w, int64_t chunk);
  void staged_broadcast(Work& w, int64_t chunk);
  void staged_exchange(Work& w);
  std::byte* written(uint64_t steps_ago = 0) {
    return group_.segment().buffer(rank(), group_.steps() - steps_ago);
  }
  const std::byte* peer(int r, uint64_t steps_ago) {
    return group_.segment().buffer(r, group_.steps() - steps_ago);
  }

  // direct.cpp: from buffer to buffer, between threads.
  void direct(Work& w);
  void direct_reduce(Work& w, int64_t begin, int64_t end, int first, int last);
  const std::byte* peer_in(const Work& w, int r);
  std::byte* peer_out(const Work& w, int r);
  void direct_copy(Work& w, std::byte* to, const std::byte* from, size_t bytes);

  // pairs.cpp
  Record& record_of(const Pair& pair);
  void agree(Pair& pair, Record& offer);

  std::shared_ptr<Rendezvous> meeting_;
  mutable Group group_;
  ShmOptions options_;
  uint32_t bell_ = 0;     // as it was before the last round of advance
  bool waits_ = false;    // others have been told that it waits for a peer
  bool suspect_ = false;  // a peer was gone at the last look
};

}  // namespace tutti::comm
