// The composed kernels as a back end's own, for those that have no faster ones: reference, cuda,
// simt.
#include "kernels/composed/batch_norm_pool.h"
#include "kernels/composed/conv2d_block.h"
#include "kernels/composed/conv2d_norm.h"
#include "kernels/composed/conv2d_pool.h"

namespace etude::ETUDE_BACKEND {

std::size_t conv2d_pool_forward_workspace(const Conv2dShape& p) {
  return composed::pool_forward_workspace(p);
}
void conv2d_pool_forward(Stream s, const Conv2dShape& p, const T* x, const T* w, const T* bias,
                         T* y, std::uint8_t* winners, void* work) {
  composed::pool_forward(s, p, x, w, bias, y, winners, work);
}

std::size_t conv2d_pool_backward_workspace(const Conv2dShape& p) {
  return composed::pool_backward_workspace(p);
}
void conv2d_pool_backward(Stream s, const Conv2dShape& p, const T* x, const T* w, const T* y,
                          const std::uint8_t* winners, const T* dy, T* dx, T* dw, T* dbias,
                          void* work) {
  composed::pool_backward(s, p, x, w, y, winners, dy, dx, dw, dbias, work);
}

std::size_t conv2d_block_forward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  return composed::block_forward_workspace(first, second);
}
void conv2d_block_forward(Stream s, const Conv2dShape& first, const Conv2dShape& second, const T* x,
                          const T* w1, const T* bias1, const T* w2, const T* bias2, T* y,
                          std::uint8_t* winners, void* work) {
  composed::block_forward(s, first, second, x, w1, bias1, w2, bias2, y, winners, work);
}

std::size_t conv2d_block_backward_workspace(const Conv2dShape& first, const Conv2dShape& second) {
  return composed::block_backward_workspace(first, second);
}
void conv2d_block_backward(Stream s, const Conv2dShape& first, const Conv2dShape& second,
                           const T* x, const T* w1, const T* bias1, const T* w2, const T* y,
                           const std::uint8_t* winners, const T* dy, T* dw1, T* dbias1, T* dw2,
                           T* dbias2, void* work) {
  composed::block_backward(s, first, second, x, w1, bias1, w2, y, winners, dy, dw1, dbias1, dw2,
                           dbias2, work);
}

std::size_t conv2d_norm_forward_workspace(const Conv2dShape& p, const BatchNormShape& norm) {
  return composed::conv_norm_forward_workspace(p, norm);
}

void conv2d_norm_forward(Stream s, const Conv2dShape& p, const BatchNormShape& norm, const T* x,
                         const T* w, const T* bias, const T* gamma, const T* beta,
                         const T* residual, T* running_mean, T* running_var, T* z, T* y, T* mean,
                         T* inv_std, void* work) {
  composed::conv_norm_forward(s, p, norm, x, w, bias, gamma, beta, residual, running_mean,
                              running_var, z, y, mean, inv_std, work);
}

std::size_t conv2d_norm_inference_workspace(const Conv2dShape& p) {
  return composed::conv_norm_inference_workspace(p);
}

void conv2d_norm_inference(Stream s, const Conv2dShape& p, const BatchNormShape& norm, const T* x,
                           const T* w, const T* bias, const T* gamma, const T* beta,
                           const T* running_mean, const T* running_var, const T* residual, T* y,
                           void* work) {
  composed::conv_norm_inference(s, p, norm, x, w, bias, gamma, beta, running_mean, running_var,
                                residual, y, work);
}

std::size_t batch_norm_pool_kept(const BatchNormShape&, const Pool2dShape& d) {
  return composed::norm_pool_kept(d);
}

std::size_t batch_norm_pool_forward_workspace(const BatchNormShape& p, const Pool2dShape&) {
  return composed::norm_pool_forward_workspace(p);
}
void batch_norm_pool_forward(Stream s, const BatchNormShape& p, const Pool2dShape& d, const T* x,
                             const T* gamma, const T* beta, T* running_mean, T* running_var, T* y,
                             T* mean, T* inv_std, void* kept, void* work) {
  composed::norm_pool_forward(s, p, d, x, gamma, beta, running_mean, running_var, y, mean, inv_std,
                              kept, work);
}

std::size_t batch_norm_pool_backward_workspace(const BatchNormShape& p, const Pool2dShape& d) {
  return composed::norm_pool_backward_workspace(p, d);
}
void batch_norm_pool_backward(Stream s, const BatchNormShape& p, const Pool2dShape& d, const T* x,
                              const T* y, void* kept, const T* dy, const T* gamma, const T* mean,
                              const T* inv_std, T* dx, T* dgamma, T* dbeta, void* work) {
  composed::norm_pool_backward(s, p, d, x, y, kept, dy, gamma, mean, inv_std, dx, dgamma, dbeta,
                               work);
}

}  // namespace etude::ETUDE_BACKEND
