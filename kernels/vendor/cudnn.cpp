// Convolutions by cuDNN.
#include <cudnn.h>

#include <memory>
#include <vector>

#include "kernels/vendor/plugin.h"

namespace etude_vendor {
namespace {

void check(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS)
    fail(std::string("cuDNN: ") + call + ": " + cudnnGetErrorString(status));
}
#define CHECK_CUDNN(call) check((call), #call)

// A cuDNN object made by `create` and given back by `destroy`.
template <class T, cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T)>
class Object {
 public:
  Object() { CHECK_CUDNN(create(&value_)); }
  ~Object() { destroy(value_); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  operator T() const { return value_; }

 private:
  T value_{};
};
using Handle = Object<cudnnHandle_t, cudnnCreate, cudnnDestroy>;
using TensorDescriptor =
    Object<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using FilterDescriptor =
    Object<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor =
    Object<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor,
           cudnnDestroyConvolutionDescriptor>;

// The fastest of what cuDNN measured that ran and kept to the arithmetic asked for.
template <class Result>
const Result& choose(const std::vector<Result>& results, bool tf32, const char* layout) {
  for (const Result& result : results)
    if (result.status == CUDNN_STATUS_SUCCESS && (tf32 || result.mathType == CUDNN_FMA_MATH))
      return result;
  fail(std::string("cuDNN: no algorithm for this problem in ") + layout +
       (tf32 ? "" : " in float32 arithmetic"));
}

struct ConvPlan : EtudeVendorPlan {
  ConvPlan(const EtudeVendorConv2d& p, int which, int device_index, cudaStream_t stream)
      : EtudeVendorPlan(device_index), pass(which) {
    const auto format = p.nchw ? CUDNN_TENSOR_NCHW : CUDNN_TENSOR_NHWC;
    const char* const layout = p.nchw ? "NCHW" : "NHWC";
    CHECK_CUDNN(cudnnSetStream(handle, stream));
    CHECK_CUDNN(cudnnSetTensor4dDescriptor(x, format, CUDNN_DATA_FLOAT, to_int(p.n, "n"),
                                           to_int(p.c, "c"), to_int(p.h, "h"), to_int(p.w, "w")));
    CHECK_CUDNN(cudnnSetFilter4dDescriptor(w, CUDNN_DATA_FLOAT, format, to_int(p.k, "k"),
                                           to_int(p.c, "c"), to_int(p.r, "r"), to_int(p.s, "s")));
    CHECK_CUDNN(cudnnSetConvolution2dDescriptor(
        convolution, to_int(p.pad_h, "pad"), to_int(p.pad_w, "pad"), to_int(p.stride_h, "stride"),
        to_int(p.stride_w, "stride"), to_int(p.dilation_h, "dilation"),
        to_int(p.dilation_w, "dilation"), CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    CHECK_CUDNN(
        cudnnSetConvolutionMathType(convolution, p.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH));
    int n = 0, k = 0, height = 0, width = 0;
    CHECK_CUDNN(cudnnGetConvolution2dForwardOutputDim(convolution, x, w, &n, &k, &height, &width));
    CHECK_CUDNN(cudnnSetTensor4dDescriptor(y, format, CUDNN_DATA_FLOAT, n, k, height, width));

    int found = 0;
    constexpr int most = 16;
    if (pass == ETUDE_VENDOR_FORWARD) {
      std::vector<cudnnConvolutionFwdAlgoPerf_t> results(most);
      CHECK_CUDNN(cudnnFindConvolutionForwardAlgorithm(handle, x, w, convolution, y, most, &found,
                                                       results.data()));
      results.resize(found);
      take(choose(results, p.tf32, layout), forward);
    } else if (pass == ETUDE_VENDOR_BACKWARD_DATA) {
      std::vector<cudnnConvolutionBwdDataAlgoPerf_t> results(most);
      CHECK_CUDNN(cudnnFindConvolutionBackwardDataAlgorithm(handle, w, y, convolution, x, most,
                                                            &found, results.data()));
      results.resize(found);
      take(choose(results, p.tf32, layout), backward_data);
    } else if (pass == ETUDE_VENDOR_BACKWARD_FILTER) {
      std::vector<cudnnConvolutionBwdFilterAlgoPerf_t> results(most);
      CHECK_CUDNN(cudnnFindConvolutionBackwardFilterAlgorithm(handle, x, y, convolution, w, most,
                                                              &found, results.data()));
      results.resize(found);
      take(choose(results, p.tf32, layout), backward_filter);
    } else {
      fail("cuDNN: pass " + std::to_string(pass) + " is none");
    }
    scratch = std::make_unique<Buffer>(workspace);
  }

  template <class Result, class Algorithm>
  void take(const Result& result, Algorithm& algorithm) {
    algorithm = result.algo;
    CHECK_CUDNN(cudnnSetConvolutionMathType(convolution, result.mathType));
    workspace = result.memory;
    text = "algorithm " + std::to_string(static_cast<int>(result.algo)) +
           (result.mathType == CUDNN_FMA_MATH ? ", float32" : ", tensor cores") +
           (result.determinism == CUDNN_DETERMINISTIC ? ", deterministic" : ", not deterministic");
  }

  void run(const float* a, const float* b, float* out) override {
    const float one = 1, zero = 0;
    if (pass == ETUDE_VENDOR_FORWARD)
      CHECK_CUDNN(cudnnConvolutionForward(handle, &one, x, a, w, b, convolution, forward,
                                          scratch->data(), workspace, &zero, y, out));
    else if (pass == ETUDE_VENDOR_BACKWARD_DATA)
      CHECK_CUDNN(cudnnConvolutionBackwardData(handle, &one, w, b, y, a, convolution,
                                               backward_data, scratch->data(), workspace, &zero, x,
                                               out));
    else
      CHECK_CUDNN(cudnnConvolutionBackwardFilter(handle, &one, x, a, y, b, convolution,
                                                 backward_filter, scratch->data(), workspace,
                                                 &zero, w, out));
  }

  int pass;
  Handle handle;
  TensorDescriptor x, y;
  FilterDescriptor w;
  ConvolutionDescriptor convolution;
  cudnnConvolutionFwdAlgo_t forward{};
  cudnnConvolutionBwdDataAlgo_t backward_data{};
  cudnnConvolutionBwdFilterAlgo_t backward_filter{};
  std::unique_ptr<Buffer> scratch;
};

}  // namespace

std::string cudnn_name() {
  const std::size_t version = cudnnGetVersion();  // 91400; 8907 before version 9
  const std::size_t major = version >= 10000 ? version / 10000 : version / 1000;
  const std::size_t rest = version - major * (version >= 10000 ? 10000 : 1000);
  return "cuDNN " + std::to_string(major) + "." + std::to_string(rest / 100) + "." +
         std::to_string(rest % 100);
}

EtudeVendorPlan* conv2d_plan(const EtudeVendorConv2d& shape, int pass, int device,
                             cudaStream_t stream) {
  return new ConvPlan(shape, pass, device, stream);
}

}  // namespace etude_vendor
