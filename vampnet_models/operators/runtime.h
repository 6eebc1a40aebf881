// The runtime's C interface, as far as custom operators need it.
//
// It is a table of functions whose order never changes: the few that are needed are declared here
// by their places, so that no header of ONNX Runtime is needed to build these files.

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace native {

constexpr uint32_t kApiVersion = 17;  // the first with KernelContext_ParallelFor
constexpr uint32_t kOpVersion = 12;   // of the operator structure below
enum ElementType : int {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt16 = 5,
  kInt32 = 6,
  kBfloat16Type = 16,
};

enum Place : size_t {
  kCreateCustomOpDomain = 26,
  kCustomOpDomainAdd = 27,
  kAddCustomOpDomain = 28,
  kGetTensorMutableData = 51,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kGetInput = 90,
  kGetOutput = 91,
  kReleaseShape = 99,
  kParallelFor = 274,
};

using Status = void*;  // nullptr when all went well
using Table = void* const*;

struct ApiBase {
  Table (*get_api)(uint32_t version);
  const char* (*version)();
};

template <typename... Arguments>
Status call(Table api, Place place, Arguments... arguments) {
  return reinterpret_cast<Status (*)(Arguments...)>(api[place])(arguments...);
}

struct CustomOp {
  uint32_t version;
  void* (*create)(const CustomOp*, Table, const void* info);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  int (*input_type)(const CustomOp*, size_t);
  size_t (*inputs)(const CustomOp*);
  int (*output_type)(const CustomOp*, size_t);
  size_t (*outputs)(const CustomOp*);
  void (*compute)(void* kernel, void* context);
  void (*destroy)(void* kernel);
  int (*input_kind)(const CustomOp*, size_t);
  int (*output_kind)(const CustomOp*, size_t);
};

constexpr size_t kMostAxes = 4;

struct Tensor {
  const void* data;  // null where an optional input is not there
  int64_t dims[kMostAxes];
  size_t rank;
};

inline Tensor input(Table api, void* context, size_t index) {
  void *value = nullptr, *shape = nullptr, *data = nullptr;
  Tensor found{nullptr, {1, 1, 1, 1}, 0};
  call(api, kGetInput, context, index, &value);
  if (!value) return found;
  call(api, kGetTensorMutableData, value, &data);
  call(api, kGetTensorTypeAndShape, value, &shape);
  call(api, kGetDimensionsCount, shape, &found.rank);
  if (found.rank <= kMostAxes) call(api, kGetDimensions, shape, &found.dims[0], found.rank);
  reinterpret_cast<void (*)(void*)>(api[kReleaseShape])(shape);
  found.data = data;
  return found;
}

// The only output.
inline void* output(Table api, void* context, const int64_t* dims, size_t rank = 3) {
  void *value = nullptr, *data = nullptr;
  call(api, kGetOutput, context, size_t{0}, dims, rank, &value);
  call(api, kGetTensorMutableData, value, &data);
  return data;
}

// In as many equal parts as there are threads, or piece by piece to whichever thread is free.
enum class Share { kEven, kFree };

inline void parallel_for(Table api, void* context, void (*piece)(void*, size_t), size_t total,
                         void* shared, Share share = Share::kEven) {
  const size_t parts = share == Share::kFree ? total : 0;
  if (total) {
    call(api, kParallelFor, static_cast<const void*>(context), piece, total, parts, shared);
  }
}

struct Op : CustomOp {
  const char* label;
  std::vector<int> takes;
  size_t optional;  // of its inputs, the last ones
  int gives;
  int kind;
  void (*body)(Table api, int kind, void* context);
};

struct Kernel {
  Table api;
  const Op* op;
};

inline Op make(const char* label, std::vector<int> takes, int gives,
               void (*body)(Table api, int kind, void* context), int kind, size_t optional = 0) {
  Op op{};
  op.version = kOpVersion;
  op.create = [](const CustomOp* self, Table api, const void*) -> void* {
    return new Kernel{api, static_cast<const Op*>(self)};
  };
  op.name = [](const CustomOp* self) { return static_cast<const Op*>(self)->label; };
  op.provider = [](const CustomOp*) -> const char* { return nullptr; };
  op.input_type = [](const CustomOp* self, size_t i) { return static_cast<const Op*>(self)->takes[i]; };
  op.inputs = [](const CustomOp* self) { return static_cast<const Op*>(self)->takes.size(); };
  op.output_type = [](const CustomOp* self, size_t) { return static_cast<const Op*>(self)->gives; };
  op.outputs = [](const CustomOp*) { return size_t{1}; };
  op.compute = [](void* opaque, void* context) {
    const Kernel& kernel = *static_cast<const Kernel*>(opaque);
    kernel.op->body(kernel.api, kernel.op->kind, context);
  };
  op.destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.input_kind = [](const CustomOp* self, size_t i) {
    const Op& op = *static_cast<const Op*>(self);
    return i + op.optional < op.takes.size() ? 0 : 1;
  };
  op.output_kind = [](const CustomOp*, size_t) { return 0; };
  op.label = label;
  op.takes = std::move(takes);
  op.optional = optional;
  op.gives = gives;
  op.kind = kind;
  op.body = body;
  return op;
}

std::vector<Op> snake_ops();
std::vector<Op> attention_ops();
std::vector<Op> product_ops();
std::vector<Op> gate_ops();
std::vector<Op> convolution_ops();

}  // namespace native
