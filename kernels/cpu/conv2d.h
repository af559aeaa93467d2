// The passes of a convolution, one set a family of algorithms; conv2d.cpp chooses between them.
// Parameters are those of kernels.def; `work` has the bytes that the _workspace function returned.
#pragma once

#include "kernels/backend.h"

namespace etude::ETUDE_BACKEND {

// What happens to a sum before it is stored: sum scale + bias + residual, then ReLU.
struct Epilogue {
  const float* bias = nullptr;  // [k]; null: 0
  bool relu = false;
  const float* scale = nullptr;     // [k]; null: 1. It needs a bias.
  const float* residual = nullptr;  // like y; null: 0
  float* statistics = nullptr;      // of what is stored, in parts (output_statistics.h); null: none
};

// Implicit matrix product, every shape (conv2d_gather.cpp, conv2d_gather_filter.cpp).
std::size_t gather_forward_workspace(const Conv2dShape& p);
void gather_forward(const Conv2dShape& p, const float* x, const float* w, const Epilogue& epilogue,
                    float* y, void* work);
Index gather_statistics_parts(const Conv2dShape& p);
std::size_t gather_backward_data_workspace(const Conv2dShape& p);
void gather_backward_data(const Conv2dShape& p, const float* dy, const float* w, float* dx,
                          void* work);
std::size_t gather_backward_filter_workspace(const Conv2dShape& p);
void gather_backward_filter(const Conv2dShape& p, const float* x, const float* dy, float* dw,
                            float* dbias, void* work);

// Few channels, 3x3, stride 1 (conv2d_planar.cpp, conv2d_planar_filter.cpp; planar.h says how).
// With `winners`, dy is the gradient of the pooled output of planar_pool_forward.
std::size_t planar_forward_workspace(const Conv2dShape& p);
void planar_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                    bool relu, float* y, void* work);
void planar_pool_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                         float* y, std::uint8_t* winners, void* work);
std::size_t planar_backward_data_workspace(const Conv2dShape& p);
void planar_backward_data(const Conv2dShape& p, const float* dy, const std::uint8_t* winners,
                          const float* w, float* dx, void* work);
std::size_t planar_backward_filter_workspace(const Conv2dShape& p);
void planar_backward_filter(const Conv2dShape& p, const float* x, const float* dy,
                            const std::uint8_t* winners, float* dw, float* dbias,
                            void* work);  // dbias optional

// Two convolutions with ReLU and 2x2 max-pooling, the first of one channel and never in memory
// (conv2d_block.cpp). Forward needs planar_forward_workspace(second), the filter gradient of the
// second planar_backward_filter_workspace(second).
void planar_block_forward(const Conv2dShape& first, const Conv2dShape& second, const float* x,
                          const float* w1, const float* bias1, const float* w2, const float* bias2,
                          float* y, std::uint8_t* winners, void* work);
void planar_block_backward_filter(const Conv2dShape& first, const Conv2dShape& second,
                                  const float* x, const float* w1, const float* bias1,
                                  const float* dy, const std::uint8_t* winners, float* dw,
                                  float* dbias, void* work);

// Winograd's algorithm with tiles of M x M outputs, M = 2 or 4: 3 x 3, stride 1, dilation 1
// (winograd.cpp, winograd_filter.cpp). With `winners`, dy is the gradient of pooled pixels, zero
// where the ReLU let nothing through.
template <int M>
std::size_t winograd_forward_workspace(const Conv2dShape& p);
template <int M>
void winograd_forward(const Conv2dShape& p, const float* x, const float* w,
                      const Epilogue& epilogue, float* y, void* work);
template <int M>
Index winograd_statistics_parts(const Conv2dShape& p);
template <int M>
void winograd_pool_forward(const Conv2dShape& p, const float* x, const float* w, const float* bias,
                           float* y, std::uint8_t* winners, void* work);
template <int M>
std::size_t winograd_backward_data_workspace(const Conv2dShape& p);
template <int M>
void winograd_backward_data(const Conv2dShape& p, const float* dy, const std::uint8_t* winners,
                            const float* w, float* dx, void* work);
template <int M>
std::size_t winograd_backward_filter_workspace(const Conv2dShape& p);
template <int M>
void winograd_backward_filter(const Conv2dShape& p, const float* x, const float* dy,
                              const std::uint8_t* winners, float* dw, float* dbias, void* work);

}  // namespace etude::ETUDE_BACKEND
