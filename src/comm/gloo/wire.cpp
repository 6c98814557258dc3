// SPDX-License-Identifier: Apache-2.0
// All that touches Gloo. Its buffers are written from the other end (SEND_BUFFER in its wire
// format): no handshake for each message, and no sizes that both ends must agree on, over which
// Gloo would end the process.
//
// Source: github.com/facebookincubator/gloo, transport/tcp, at 5b14351.
#include "comm/gloo/wire.h"

#include <gloo/transport/context.h>
#include <gloo/transport/tcp/device.h>
#include <signal.h>
#include <time.h>

#include <vector>

#include "core/error.h"

namespace tutti::comm {
namespace {

namespace tcp = gloo::transport::tcp;

/// Keeps SIGPIPE, which Gloo's writes may raise, from this thread: the process's handling of
/// signals is not ours to change.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutPipeSignal() {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_, before_;
};

/// Calls f; what it throws becomes an Error.
template <class F>
auto guarded(const char* what, const F& f) {
  const WithoutPipeSignal quiet;
  try {
    return f();
  } catch (const std::exception& error) {
    fail(Errc::comm, what, ": ", error.what());
  }
}

}  // namespace

class WireDevice {
 public:
  explicit WireDevice(const std::string& address) {
    // Ranks have met at this address before: Gloo crashes over one that cannot be looked up. Its
    // thread inherits that all signals go elsewhere.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      device_ = std::make_shared<tcp::Device>(tcp::CreateDeviceAttr(tcp::attr(address.c_str())));
    } catch (const std::exception& error) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      fail(Errc::io, "Gloo cannot use address '", address, "': ", error.what());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  tcp::Device& device() { return *device_; }

 private:
  std::shared_ptr<tcp::Device> device_;
};

namespace {

using Buffer = std::unique_ptr<gloo::transport::Buffer>;

/// Gloo gives a socket twice the bytes of its longest message so far to hold on to. With few, the
/// sender waits for an acknowledgement that the receiver delays by 40 ms. So every connection
/// begins with a long message that means nothing.
constexpr size_t kOpeningBytes = 192 << 10;
constexpr int kOpeningSlot = 1000;

}  // namespace

struct Wire::State {
  std::shared_ptr<WireDevice> device;
  std::vector<std::byte> opening = std::vector<std::byte>(2 * kOpeningBytes);  // of all, out and in
  std::shared_ptr<gloo::transport::Context> context;
  std::vector<Buffer> sends, receives;  // of openings; by rank
};

bool has_gloo() { return true; }

std::shared_ptr<WireDevice> open_device(const std::string& address) {
  return std::make_shared<WireDevice>(address);
}

Wire::Wire(std::shared_ptr<WireDevice> device, int rank, int size)
    : state_(std::make_unique<State>()) {
  state_->device = std::move(device);
  state_->context = state_->device->device().createContext(rank, size);
  // Waits end by close(), never by themselves.
  state_->context->setTimeout(std::chrono::milliseconds::zero());
  state_->sends.resize(static_cast<size_t>(size));
  state_->receives.resize(static_cast<size_t>(size));
}

Wire::~Wire() { close(); }

std::string Wire::listen(int r) {
  return guarded("Gloo", [&] {
    auto& pair = state_->context->createPair(r);
    std::byte* opening = state_->opening.data();
    const auto i = static_cast<size_t>(r);
    state_->sends[i] = pair->createSendBuffer(kOpeningSlot, opening, kOpeningBytes);
    state_->receives[i] =
        pair->createRecvBuffer(kOpeningSlot, opening + kOpeningBytes, kOpeningBytes);
    const auto bytes = pair->address().bytes();
    return std::string(bytes.begin(), bytes.end());
  });
}

void Wire::connect(int r, const std::string& address) {
  guarded("Gloo", [&] {
    state_->context->getPair(r)->connect(std::vector<char>(address.begin(), address.end()));
    state_->sends[static_cast<size_t>(r)]->send(0, kOpeningBytes, 0);
  });
}

void Wire::close() noexcept try {
  for (int r = 0; r < state_->context->size; ++r)
    if (const auto& pair = state_->context->getPair(r)) pair->close();
} catch (...) {
  // What cannot be closed is closed with the context.
}

namespace {

class GlooPort : public Port {
 public:
  GlooPort(gloo::transport::Pair& pair, int lane, std::byte* out, std::byte* in, size_t bytes)
      : sends_(pair.createSendBuffer(2 * lane, out, bytes)),
        send_taken_(pair.createSendBuffer(2 * lane + 1, out, 1)),
        receives_(pair.createRecvBuffer(2 * lane, in, bytes)),
        receive_taken_(pair.createRecvBuffer(2 * lane + 1, in, 1)) {}

  void put(size_t at, size_t bytes) noexcept override {
    const WithoutPipeSignal quiet;
    try {
      sends_->send(at, bytes, at);
    } catch (...) {
    }
  }
  void put_acknowledgement() noexcept override {
    const WithoutPipeSignal quiet;
    try {
      send_taken_->send(0, 1, 0);
    } catch (...) {
    }
  }
  /// Gloo's thread has written the bell and is about to say so, if it has not yet. It throws when
  /// the connection has ended since.
  void settle() noexcept override {
    try {
      receives_->waitRecv();
    } catch (...) {
    }
  }

 private:
  Buffer sends_, send_taken_, receives_, receive_taken_;
};

}  // namespace

std::unique_ptr<Port> Wire::port(int r, int lane, std::byte* out, std::byte* in, size_t bytes) {
  return guarded("Gloo", [&]() -> std::unique_ptr<Port> {
    return std::make_unique<GlooPort>(*state_->context->getPair(r), lane, out, in, bytes);
  });
}

}  // namespace tutti::comm
