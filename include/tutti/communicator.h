// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/tensor.h"

namespace tutti::comm {

class Transport;

/// What a group does together; send and recv are between two of its ranks.
enum class Kind : uint8_t {
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  all_to_all_v,
  broadcast,
  reduce,
  gather,
  scatter,
  barrier,
  send,
  recv
};

/// How elements of several ranks become one; in the order of ranks, so that all see the same bits.
enum class Reduce : uint8_t { sum, prod, max, min, avg };

/// "all_reduce", ...; "sum", ...
std::string_view to_string(Kind kind);
std::string_view to_string(Reduce reduce);

/// One operation of a group as data: what logs, errors and comparisons show.
///
/// count counts elements: all_reduce, reduce, broadcast, send, recv: of in and of out; all_gather,
/// gather: of one rank's in; reduce_scatter, scatter: of one rank's out; all_to_all: of one of the
/// size() blocks of in and of out; all_to_all_v: unused, sends[r] elements go to rank r and
/// receives[r] come from it, blocks lie one after the other.
struct Collective {
  Kind kind = Kind::barrier;
  DType dtype = DType::f32;
  Reduce reduce = Reduce::sum;  ///< of all_reduce, reduce_scatter and reduce
  int root = 0;  ///< of broadcast, reduce, gather, scatter; the peer of send and recv
  int64_t count = 0;
  std::span<const int64_t> sends = {}, receives = {};
  std::string_view label = {};  ///< a name for people; ranks must agree on it
};

/// "all_reduce sum f32 x 1024"; "broadcast f32 x 3 from 2"
std::string describe(const Collective& c);

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

  /// Bytes of a label that are kept.
  static constexpr size_t kLabelBytes = 48;
};

/// "all_reduce #17 'blocks.3.out' (sum f32 x 1024)"
std::string to_string(const Entry& entry);

/// history() for people: a line for each entry, by rank.
std::string to_text(const std::vector<std::vector<Entry>>& history);

/// A collective that was started; wait for it once.
struct Request {
  uint64_t id = 0;  ///< of its communicator
};

/// One rank's end of a group whose ranks exchange tensors.
///
/// Every rank calls the same collectives with the same dtype, reduction, root, count and label in
/// the same order, from one thread; in and out are contiguous. A difference is refused on all ranks
/// before any out is written. Every wait for a peer ends at deadline_s(). After a failure every
/// call on this group, and on those split from the same first group, throws the same Error on all
/// ranks: timeout, comm or invalid_argument; buffers are free then, and only destruction is left.
/// Results do not depend on timing and have the same bits on every rank.
class Communicator {
 public:
  /// For those who bring a transport; others join_job or run_ranks.
  Communicator(std::unique_ptr<Transport> transport, std::string name);
  /// Fails the group when collectives are outstanding.
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  /// This rank's number, 0 to size() - 1; how many ranks there are; a name for messages.
  int rank() const;
  int size() const;
  const std::string& name() const;
  /// Seconds.
  double deadline_s() const;
  /// Seconds, more than 0; groups that are split later inherit it.
  void set_deadline(double seconds);

  /// Bytes of tensors that this rank has sent to others in this group; what the same data costs by
  /// any transport: an all_reduce counts 2 (size() - 1) / size() of its bytes.
  uint64_t bytes_sent() const;

  /// Runs a collective to its end. in and out may be the same where a rank's part of the one lies
  /// in its place in the other: all of it for all_reduce, reduce, broadcast, all_to_all and
  /// all_to_all_v with sends equal to receives; block rank() of the larger one else. What does not
  /// take part may be null. Throws invalid_argument, and sends nothing, for what cannot be.
  void run(const Collective& c, const void* in, void* out);

  /// Begins a collective and returns; a thread of the communicator moves it while the caller
  /// computes. Collectives end in the order of starts, sends and recvs that follow each other in
  /// any order. in, out, c.sends and c.receives stay as they are until wait returns or throws. With
  /// kOutstanding on their way, start waits for the oldest. Allocates nothing after the first.
  Request start(const Collective& c, const void* in, void* out);
  void wait(Request request);
  static constexpr int kOutstanding = 64;

  /// run with contiguous tensors whose shapes give the count: in and out have the same number of
  /// elements in all_reduce, reduce, broadcast and all_to_all; the larger one has size() times as
  /// many else. Tensors of ranks that take no part may be left empty.
  void all_reduce(Reduce reduce, const Tensor& in, const Tensor& out, std::string_view label = {});
  void reduce(Reduce reduce, int root, const Tensor& in, const Tensor& out,
              std::string_view label = {});
  void reduce_scatter(Reduce reduce, const Tensor& in, const Tensor& out,
                      std::string_view label = {});
  void all_gather(const Tensor& in, const Tensor& out, std::string_view label = {});
  void gather(int root, const Tensor& in, const Tensor& out, std::string_view label = {});
  void scatter(int root, const Tensor& in, const Tensor& out, std::string_view label = {});
  void broadcast(int root, const Tensor& tensor, std::string_view label = {});
  void all_to_all(const Tensor& in, const Tensor& out, std::string_view label = {});
  void all_to_all_v(const Tensor& in, std::span<const int64_t> sends, const Tensor& out,
                    std::span<const int64_t> receives, std::string_view label = {});
  void send(int to, const Tensor& tensor, std::string_view label = {});
  void recv(int from, const Tensor& tensor, std::string_view label = {});
  void barrier(std::string_view label = {});

  /// The group of all ranks that give the same colour, ordered by key, then by rank here; none for
  /// a negative colour. Called by all ranks.
  std::optional<Communicator> split(int colour, int key);

  /// Fails the group on all ranks with this reason; any thread may call it.
  void abort_group(std::string_view reason);

  /// The last 32 collectives of each rank, oldest first, also after a failure; any thread may call.
  std::vector<std::vector<Entry>> history() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tutti::comm

namespace tutti {

/// The rank's end of a group, without its room.
using comm::Communicator;

/// How ranks find each other, and how long they wait.
struct JoinOptions {
  /// Seconds for all ranks to come.
  double join_deadline_s = 30;
  /// Seconds of each wait afterwards; Communicator::set_deadline changes it.
  double deadline_s = 30;
  /// "shm" within one host, "gloo" over TCP, "auto" for what fits: shm inside a host and gloo
  /// between hosts.
  std::string transport = "auto";
};

/// The ranks of the job that started this process, as `tutti launch`, torchrun, Open MPI or Slurm
/// describe it in the environment; see docs/launching.md.
///
/// A process without such an environment is a job of one rank. Throws invalid_argument for
/// variables that are missing or contradict each other, unsupported for a transport that was not
/// built, timeout naming the ranks that did not come, comm for a job whose secret is another.
Communicator join_job(const JoinOptions& options = {});

/// Runs body on `size` ranks that are threads of this process, and returns when all have ended.
///
/// What a rank throws ends the group for all; the first such error is thrown when all have ended.
void run_ranks(int size, const std::function<void(Communicator&)>& body,
               const JoinOptions& options = {});

}  // namespace tutti
