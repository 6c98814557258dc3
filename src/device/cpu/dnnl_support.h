// SPDX-License-Identifier: Apache-2.0
#pragma once

#if __has_include(<oneapi/dnnl/dnnl.hpp>)

#include <dlfcn.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "device/cpu/unary.h"

// For dnnl_x.cpp files only: what uses of oneDNN share. Empty where oneDNN is not installed.
namespace tutti::cpu::dnnl_support {

/// The OpenMP library that oneDNN brings along, if it brings one.
struct OpenMp {
  int (*max_threads)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  void (*set_threads)(int) = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT,
                                                                   "omp_set_num_threads"));
};

inline const OpenMp& openmp() {
  static const OpenMp found;
  return found;
}

/// While it lives, oneDNN uses the calling thread alone.
class OneThread {
 public:
  OneThread() : before_(openmp().max_threads ? openmp().max_threads() : 1) { set(1); }
  ~OneThread() { set(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  static void set(int threads) {
    if (openmp().set_threads) openmp().set_threads(threads);
  }
  int before_;
};

inline const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// Builds of oneDNN on other thread libraries cannot be held to one thread.
inline bool usable() {
  const unsigned runtime = dnnl::version()->cpu_runtime;
  return runtime == DNNL_RUNTIME_SEQ ||
         (runtime == DNNL_RUNTIME_OMP && openmp().max_threads && openmp().set_threads);
}

/// oneDNN 2 takes a scale that version 3 has no longer.
template <class PostOps>
void append_eltwise(PostOps& list, dnnl::algorithm f, float alpha) {
  if constexpr (requires { list.append_eltwise(1.0f, f, alpha, 0.0f); }) {
    list.append_eltwise(1.0f, f, alpha, 0.0f);
  } else {
    list.append_eltwise(f, alpha, 0.0f);
  }
}

/// The elementwise algorithm and its alpha. Not relu and exp, that lose a NaN, nor log, that is
/// wrong below the least normal number.
inline std::optional<std::pair<dnnl::algorithm, float>> eltwise(Unary f) {
  using A = dnnl::algorithm;
  switch (f) {
    case Unary::gelu_erf:
      return std::pair{A::eltwise_gelu_erf, 0.0f};
    case Unary::gelu_tanh:
      return std::pair{A::eltwise_gelu_tanh, 0.0f};
    case Unary::silu:
      return std::pair{A::eltwise_swish, 1.0f};
    case Unary::quick_gelu:
      return std::pair{A::eltwise_swish, 1.702f};
    case Unary::tanh:
      return std::pair{A::eltwise_tanh, 0.0f};
    case Unary::sigmoid:
      return std::pair{A::eltwise_logistic, 0.0f};
    default:
      return std::nullopt;
  }
}

/// An argument of a primitive: which, and how it lies.
struct Slot {
  int argument;
  dnnl::memory::desc desc;
};

/// What one thread executes a variant with.
struct Call {
  explicit Call(const std::vector<Slot>& slots) : handles(slots.size(), nullptr) {
    for (const Slot& slot : slots) {
      memories.emplace_back(slot.desc, engine(), nullptr);
      arguments.push_back({slot.argument, memories.back().get()});
    }
  }

  std::vector<dnnl::memory> memories;
  std::vector<dnnl_exec_arg_t> arguments;
  std::vector<void*> handles;

  // oneDNN allocates when it takes a new address.
  bool set(size_t slot, const void* address) {
    if (handles[slot] == address) return true;
    handles[slot] = const_cast<void*>(address);
    return dnnl_memory_set_data_handle(memories[slot].get(), handles[slot]) == dnnl_success;
  }
};

}  // namespace tutti::cpu::dnnl_support

#endif
