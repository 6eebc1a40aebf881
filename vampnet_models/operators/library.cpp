// What ONNX Runtime calls when it opens the library.

#include <string>
#include <vector>

#include "codec/convolution.h"
#include "product/product.h"
#include "runtime.h"

extern "C" __attribute__((visibility("default"))) void* RegisterCustomOps(
    void* options, const native::ApiBase* base) {
  using namespace native;
  static const std::vector<Op> snakes = snake_ops(), attentions = attention_ops();
  static const std::vector<Op> products = product_ops(), gates = gate_ops();
  static const std::vector<Op> convolutions = convolution_ops();
  const Table api = base->get_api(kApiVersion);
  void* domain = nullptr;  // the session's options refer to it for as long as they live
  if (Status failed = call(api, kCreateCustomOpDomain, "vampnet.native", &domain)) return failed;
  for (const auto* each : {&snakes, &attentions, &products, &gates, &convolutions}) {
    for (const Op& op : *each) {
      const CustomOp* pointer = &op;
      if (Status failed = call(api, kCustomOpDomainAdd, domain, pointer)) return failed;
    }
  }
  return call(api, kAddCustomOpDomain, options, domain);
}

// Which kernels this processor gets: of products in 8 bits and in bfloat16, of convolutions.
extern "C" __attribute__((visibility("default"))) const char* VampnetKernels() {
  static const std::string names =
      std::string(product::byte_kernels().name) + " " + product::half_kernels().name + " " +
      convolution::kernel().name;
  return names.c_str();
}
