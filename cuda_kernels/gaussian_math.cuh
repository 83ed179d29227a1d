// The mathematics of one Gaussian seen by one camera, forward and backward, for g++ and for nvcc.
// No threads, no memory, no words that only one of the two compilers knows.
//
// Names: W is the 3x3 rotation world to camera, J the 2x3 Jacobian of the perspective division, U = J W.
// A "v_" prefix is the derivative of the loss by the named thing. Matrices are row-major.
#pragma once
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define LF_FN __host__ __device__ inline
#else
#define LF_FN inline
#endif

namespace langfield {

constexpr float ALPHA_CUT = 1.0f / 255.0f;  // contributions below this are left out
constexpr float ALPHA_MAX = 0.999f;
constexpr float STOP_BELOW = 1e-4f;  // a pixel is full once this little light passes
constexpr int TILE = 16;                 // pixels
constexpr float MAX_RADIUS = 1e6f;   // pixels; keeps every later integer in range
constexpr float MIN_QUAT_NORM2 = 1e-30f;
constexpr float LARGEST = 1e10f;  // depth, colour: beyond it gradients of all others could overflow

struct Camera {
  float W[9], t[3], fx, fy, cx, cy, width, height, near, blur;
};

struct Shape {  // what projection leaves for its own backward
  float p[3], q[4], inv_norm, R[9], s[3], M[9], J[6], U[6], lim_x, lim_y;
  bool clamped_x, clamped_y;
  float cov[3];  // xx xy yy, blur included
};

LF_FN float clampf(float x, float lo, float hi) { return x < lo ? lo : (x > hi ? hi : x); }

LF_FN void rotation(const float q[4], float R[9]) {
  const float w = q[0], x = q[1], y = q[2], z = q[3];
  R[0] = 1 - 2 * (y * y + z * z), R[1] = 2 * (x * y - w * z), R[2] = 2 * (x * z + w * y);
  R[3] = 2 * (x * y + w * z), R[4] = 1 - 2 * (x * x + z * z), R[5] = 2 * (y * z - w * x);
  R[6] = 2 * (x * z - w * y), R[7] = 2 * (y * z + w * x), R[8] = 1 - 2 * (x * x + y * y);
}

LF_FN void rotation_backward(const float q[4], const float v_R[9], float v_q[4]) {
  const float w = q[0], x = q[1], y = q[2], z = q[3];
  v_q[0] = 2 * (x * (v_R[7] - v_R[5]) + y * (v_R[2] - v_R[6]) + z * (v_R[3] - v_R[1]));
  v_q[1] = 2 * (-2 * x * (v_R[4] + v_R[8]) + y * (v_R[1] + v_R[3]) + z * (v_R[2] + v_R[6]) + w * (v_R[7] - v_R[5]));
  v_q[2] = 2 * (x * (v_R[1] + v_R[3]) - 2 * y * (v_R[0] + v_R[8]) + z * (v_R[5] + v_R[7]) + w * (v_R[2] - v_R[6]));
  v_q[3] = 2 * (x * (v_R[2] + v_R[6]) + y * (v_R[5] + v_R[7]) - 2 * z * (v_R[0] + v_R[4]) + w * (v_R[3] - v_R[1]));
}

// Camera-space centre, J (its side terms clamped to 1.3 fields of view as in 3DGS), U and the screen covariance.
// Gives false where the Gaussian is not to be drawn.
LF_FN bool shape_on_screen(const float mean[3], const float quat[4], const float log_scale[3], const Camera& c, Shape& o) {
  for (int i = 0; i < 3; i++)
    o.p[i] = c.W[3 * i] * mean[0] + c.W[3 * i + 1] * mean[1] + c.W[3 * i + 2] * mean[2] + c.t[i];
  const float n2 = quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3];
  if (!(o.p[2] >= c.near) || !(o.p[2] <= LARGEST) || !(n2 >= MIN_QUAT_NORM2) || !std::isfinite(n2)) return false;
  if (!std::isfinite(log_scale[0] + log_scale[1] + log_scale[2])) return false;  // minus infinity would draw a disc
  o.inv_norm = 1 / sqrtf(n2);
  for (int i = 0; i < 4; i++) o.q[i] = quat[i] * o.inv_norm;
  rotation(o.q, o.R);
  for (int j = 0; j < 3; j++) o.s[j] = expf(log_scale[j]);
  for (int i = 0; i < 9; i++) o.M[i] = o.R[i] * o.s[i % 3];
  const float iz = 1 / o.p[2], x = o.p[0] * iz, y = o.p[1] * iz;
  const float side_x = 0.15f * c.width / c.fx, side_y = 0.15f * c.height / c.fy;
  o.lim_x = clampf(x, -c.cx / c.fx - side_x, (c.width - c.cx) / c.fx + side_x);
  o.lim_y = clampf(y, -c.cy / c.fy - side_y, (c.height - c.cy) / c.fy + side_y);
  o.clamped_x = o.lim_x != x, o.clamped_y = o.lim_y != y;
  o.J[0] = c.fx * iz, o.J[1] = 0, o.J[2] = -c.fx * o.lim_x * iz;
  o.J[3] = 0, o.J[4] = c.fy * iz, o.J[5] = -c.fy * o.lim_y * iz;
  float V[6];  // U M: 2x3
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++) o.U[3 * i + j] = o.J[3 * i + i] * c.W[3 * i + j] + o.J[3 * i + 2] * c.W[6 + j];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++)
      V[3 * i + j] = o.U[3 * i] * o.M[j] + o.U[3 * i + 1] * o.M[3 + j] + o.U[3 * i + 2] * o.M[6 + j];
  o.cov[0] = V[0] * V[0] + V[1] * V[1] + V[2] * V[2] + c.blur;
  o.cov[1] = V[0] * V[3] + V[1] * V[4] + V[2] * V[5];
  o.cov[2] = V[3] * V[3] + V[4] * V[4] + V[5] * V[5] + c.blur;
  return true;
}

// Inverse of the screen covariance as (a, b, c) of 0.5 a dx^2 + b dx dy + 0.5 c dy^2; false where it has none.
LF_FN bool conic_of(const float cov[3], float conic[3]) {
  const float det = cov[0] * cov[2] - cov[1] * cov[1];
  if (!(det > 0) || !std::isfinite(det)) return false;
  conic[0] = cov[2] / det, conic[1] = -cov[1] / det, conic[2] = cov[0] / det;
  return std::isfinite(conic[0]) && std::isfinite(conic[1]) && std::isfinite(conic[2]) && conic[0] > 0 && conic[2] > 0;
}

// v_U = 2 V U Sigma and v_Sigma = U^T V U with V = -Q G Q, G the gradient by the conic matrix Q.
LF_FN void shape_backward(const Shape& o, const Camera& c, const float conic[3], const float v_conic[3],
                          const float v_mean2d[2], float v_depth, float v_p[3], float v_W[9], float v_quat[4],
                          float v_log_scale[3]) {
  const float Q[4] = {conic[0], conic[1], conic[1], conic[2]};
  const float G[4] = {v_conic[0], 0.5f * v_conic[1], 0.5f * v_conic[1], v_conic[2]};
  float QG[4], V[4];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) QG[2 * i + j] = Q[2 * i] * G[j] + Q[2 * i + 1] * G[2 + j];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) V[2 * i + j] = -(QG[2 * i] * Q[j] + QG[2 * i + 1] * Q[2 + j]);
  float UM[6], VUM[6], VU[6], v_M[9], v_U[6];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++)
      UM[3 * i + j] = o.U[3 * i] * o.M[j] + o.U[3 * i + 1] * o.M[3 + j] + o.U[3 * i + 2] * o.M[6 + j];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++) {
      VUM[3 * i + j] = V[2 * i] * UM[j] + V[2 * i + 1] * UM[3 + j];
      VU[3 * i + j] = V[2 * i] * o.U[j] + V[2 * i + 1] * o.U[3 + j];
    }
  for (int i = 0; i < 2; i++)  // U Sigma = (U M) M^T
    for (int j = 0; j < 3; j++)
      v_U[3 * i + j] = 2 * (VUM[3 * i] * o.M[3 * j] + VUM[3 * i + 1] * o.M[3 * j + 1] + VUM[3 * i + 2] * o.M[3 * j + 2]);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) v_M[3 * i + j] = 2 * (VU[i] * UM[j] + VU[3 + i] * UM[3 + j]);
  float v_R[9], v_q[4];
  for (int i = 0; i < 9; i++) v_R[i] = v_M[i] * o.s[i % 3];
  for (int j = 0; j < 3; j++)
    v_log_scale[j] = o.s[j] * (o.R[j] * v_M[j] + o.R[3 + j] * v_M[3 + j] + o.R[6 + j] * v_M[6 + j]);
  rotation_backward(o.q, v_R, v_q);
  const float along = o.q[0] * v_q[0] + o.q[1] * v_q[1] + o.q[2] * v_q[2] + o.q[3] * v_q[3];
  for (int i = 0; i < 4; i++) v_quat[i] = (v_q[i] - o.q[i] * along) * o.inv_norm;

  float v_J[4] = {0, 0, 0, 0};  // by J00, J02, J11, J12: v_J = v_U W^T
  for (int j = 0; j < 3; j++) {
    v_J[0] += v_U[j] * c.W[j], v_J[1] += v_U[j] * c.W[6 + j];
    v_J[2] += v_U[3 + j] * c.W[3 + j], v_J[3] += v_U[3 + j] * c.W[6 + j];
  }
  for (int j = 0; j < 3; j++) {  // v_W = J^T v_U
    v_W[j] = o.J[0] * v_U[j], v_W[3 + j] = o.J[4] * v_U[3 + j];
    v_W[6 + j] = o.J[2] * v_U[j] + o.J[5] * v_U[3 + j];
  }
  const float iz = 1 / o.p[2], iz2 = iz * iz;
  v_p[0] = c.fx * iz * v_mean2d[0] - (o.clamped_x ? 0 : c.fx * iz2 * v_J[1]);
  v_p[1] = c.fy * iz * v_mean2d[1] - (o.clamped_y ? 0 : c.fy * iz2 * v_J[3]);
  v_p[2] = v_depth - iz2 * (c.fx * o.p[0] * v_mean2d[0] + c.fy * o.p[1] * v_mean2d[1]) -
           iz2 * (c.fx * v_J[0] + c.fy * v_J[2]) + iz2 * c.fx * o.lim_x * (o.clamped_x ? 1 : 2) * v_J[1] +
           iz2 * c.fy * o.lim_y * (o.clamped_y ? 1 : 2) * v_J[3];
}

// Real spherical harmonics with 3DGS's signs, values Y[K] and, where D is given, derivatives D[K][3].
LF_FN void harmonics(int degree, const float d[3], float* Y, float (*D)[3]) {
  const float x = d[0], y = d[1], z = d[2], xx = x * x, yy = y * y, zz = z * z;
  const float c1 = 0.4886025119029199f, a = 1.0925484305920792f, b = 0.31539156525252005f, e = 0.5462742152960396f;
  const float f = 0.5900435899266435f, g = 2.890611442640554f, h = 0.4570457994644658f, i = 0.3731763325901154f;
  const float j = 1.445305721320277f;
  auto grad = [D](int k, float gx, float gy, float gz) { D[k][0] = gx, D[k][1] = gy, D[k][2] = gz; };
  Y[0] = 0.28209479177387814f;
  if (D) grad(0, 0, 0, 0);
  if (degree < 1) return;
  Y[1] = -c1 * y, Y[2] = c1 * z, Y[3] = -c1 * x;
  if (D) grad(1, 0, -c1, 0), grad(2, 0, 0, c1), grad(3, -c1, 0, 0);
  if (degree < 2) return;
  Y[4] = a * x * y, Y[5] = -a * y * z, Y[6] = b * (2 * zz - xx - yy), Y[7] = -a * x * z, Y[8] = e * (xx - yy);
  if (D) {
    grad(4, a * y, a * x, 0), grad(5, 0, -a * z, -a * y), grad(6, -2 * b * x, -2 * b * y, 4 * b * z);
    grad(7, -a * z, 0, -a * x), grad(8, 2 * e * x, -2 * e * y, 0);
  }
  if (degree < 3) return;
  Y[9] = -f * y * (3 * xx - yy), Y[10] = g * x * y * z, Y[11] = -h * y * (4 * zz - xx - yy);
  Y[12] = i * z * (2 * zz - 3 * xx - 3 * yy), Y[13] = -h * x * (4 * zz - xx - yy);
  Y[14] = j * z * (xx - yy), Y[15] = -f * x * (xx - 3 * yy);
  if (D) {
    grad(9, -6 * f * x * y, -f * (3 * xx - 3 * yy), 0), grad(10, g * y * z, g * x * z, g * x * y);
    grad(11, 2 * h * x * y, -h * (4 * zz - xx - 3 * yy), -8 * h * y * z);
    grad(12, -6 * i * x * z, -6 * i * y * z, i * (6 * zz - 3 * xx - 3 * yy));
    grad(13, -h * (4 * zz - 3 * xx - yy), 2 * h * x * y, -8 * h * x * z);
    grad(14, 2 * j * x * z, -2 * j * y * z, j * (xx - yy)), grad(15, -f * (3 * xx - 3 * yy), 6 * f * x * y, 0);
  }
}

// W 9, t 3, fx fy cx cy, near, blur.
LF_FN Camera camera_from(const float* c, int64_t width, int64_t height) {
  Camera o;
  for (int i = 0; i < 9; i++) o.W[i] = c[i];
  for (int i = 0; i < 3; i++) o.t[i] = c[9 + i];
  o.fx = c[12], o.fy = c[13], o.cx = c[14], o.cy = c[15], o.near = c[16], o.blur = c[17];
  o.width = float(width), o.height = float(height);
  return o;
}

LF_FN void camera_centre(const Camera& c, float o[3]) {  // -W^T t
  for (int j = 0; j < 3; j++) o[j] = -(c.W[j] * c.t[0] + c.W[3 + j] * c.t[1] + c.W[6 + j] * c.t[2]);
}

// Unit vector from the camera to the Gaussian; gives 1 / distance.
LF_FN float view_direction(const float* mean, const float centre[3], float d[3]) {
  for (int i = 0; i < 3; i++) d[i] = mean[i] - centre[i];
  const float inv = 1 / sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  for (int i = 0; i < 3; i++) d[i] *= inv;
  return inv;
}

LF_FN float sigmoid(float x) { return 1 / (1 + expf(-x)); }

struct Gaussian {  // one of the scene; sh: [16 or fewer, 3]; degree -1 where no colour is drawn
  const float *mean, *quat, *log_scale;
  float logit;
  const float* sh;
  int degree;
};

struct Drawn {  // everything blending needs of one Gaussian
  float mean2d[2], conic[3], depth, opacity, colour[3];
  int radius[2];
};

// All of `Drawn` but the colour; false where the Gaussian cannot be seen or holds values that are not finite.
LF_FN bool draw_shape(const Gaussian& g, const Camera& c, Drawn& o) {
  Shape shape;
  if (!shape_on_screen(g.mean, g.quat, g.log_scale, c, shape) || !conic_of(shape.cov, o.conic)) return false;
  o.depth = shape.p[2], o.opacity = sigmoid(g.logit);
  o.mean2d[0] = c.fx * shape.p[0] / o.depth + c.cx, o.mean2d[1] = c.fy * shape.p[1] / o.depth + c.cy;
  if (!std::isfinite(g.logit) || !(o.opacity >= ALPHA_CUT) || !std::isfinite(o.depth)) return false;
  const float extent = sqrtf(2 * logf(o.opacity / ALPHA_CUT)), size[2] = {c.width, c.height};
  for (int i = 0; i < 2; i++) {
    const float reach = extent * sqrtf(shape.cov[2 * i]), r = ceilf(reach > MAX_RADIUS ? MAX_RADIUS : reach);
    if (!(o.mean2d[i] + r > 0 && o.mean2d[i] - r < size[i]) || !(r > 0)) return false;
    o.radius[i] = int(r);
  }
  return true;
}

// The colour seen from `centre`, held above zero; false where it is not finite.
LF_FN bool draw_colour(const Gaussian& g, const float centre[3], float colour[3]) {
  for (int i = 0; i < 3; i++) colour[i] = 0;
  if (g.degree < 0) return true;
  float d[3], Y[16];
  view_direction(g.mean, centre, d);
  harmonics(g.degree, d, Y, nullptr);
  for (int k = 0; k < 16; k++)  // to a known end, so that nvcc keeps Y in registers
    if (k < (g.degree + 1) * (g.degree + 1))
      for (int i = 0; i < 3; i++) colour[i] += Y[k] * g.sh[3 * k + i];
  for (int i = 0; i < 3; i++) {
    if (!(fabsf(colour[i]) <= LARGEST)) return false;
    colour[i] = colour[i] + 0.5f < 0 ? 0 : colour[i] + 0.5f;
  }
  return true;
}

struct DrawnGradient {
  const float *mean2d, *conic, *colour;
  float depth, opacity;
};

struct GaussianGradient {
  float mean[3], quat[4], log_scale[3], logit;
};

// Sets v_sh for the harmonics in use, v.mean to the part through the view direction, and gives that by the centre.
LF_FN void draw_colour_backward(const Gaussian& g, const float centre[3], const float v_colour[3], float* v_sh,
                                float v_mean[3], float v_centre[3]) {
  const int used = (g.degree + 1) * (g.degree + 1);
  float d[3], Y[16], D[16][3], v_d[3] = {0, 0, 0}, colour[3] = {0.5f, 0.5f, 0.5f};
  const float inv = view_direction(g.mean, centre, d);
  harmonics(g.degree, d, Y, D);
  for (int k = 0; k < 16; k++)
    if (k < used)
      for (int j = 0; j < 3; j++) colour[j] += Y[k] * g.sh[3 * k + j];
  for (int k = 0; k < 16; k++) {
    if (k >= used) continue;
    float v_Y = 0;
    for (int j = 0; j < 3; j++) {
      const float v = colour[j] >= 0 ? v_colour[j] : 0;
      v_sh[3 * k + j] = Y[k] * v, v_Y += g.sh[3 * k + j] * v;
    }
    for (int j = 0; j < 3; j++) v_d[j] += v_Y * D[k][j];
  }
  const float along = d[0] * v_d[0] + d[1] * v_d[1] + d[2] * v_d[2];
  for (int j = 0; j < 3; j++) v_mean[j] = (v_d[j] - d[j] * along) * inv, v_centre[j] = -v_mean[j];
}

// Gradients of one Gaussian that was drawn; adds those by the camera (W 9, t 3) to v_camera.
template <typename Sum>
LF_FN void draw_backward(const Gaussian& g, const Camera& c, const float centre[3], const DrawnGradient& in,
                         GaussianGradient& v, float* v_sh, Sum* v_camera) {
  Shape shape;
  float conic[3], v_p[3], v_W[9], v_centre[3] = {0, 0, 0};
  shape_on_screen(g.mean, g.quat, g.log_scale, c, shape);
  conic_of(shape.cov, conic);
  shape_backward(shape, c, conic, in.conic, in.mean2d, in.depth, v_p, v_W, v.quat, v.log_scale);
  const float opacity = sigmoid(g.logit);
  v.logit = in.opacity * opacity * (1 - opacity);
  for (int j = 0; j < 3; j++) v.mean[j] = 0;
  if (g.degree >= 0) draw_colour_backward(g, centre, in.colour, v_sh, v.mean, v_centre);
  for (int r = 0; r < 3; r++)
    for (int j = 0; j < 3; j++) {
      v.mean[j] += c.W[3 * r + j] * v_p[r];
      v_camera[3 * r + j] += v_W[3 * r + j] + v_p[r] * g.mean[j] - c.t[r] * v_centre[j];
      v_camera[9 + r] -= c.W[3 * r + j] * v_centre[j];
    }
  for (int r = 0; r < 3; r++) v_camera[9 + r] += v_p[r];
}

struct Box {
  int x0, x1, y0, y1;  // tiles, ends exclusive
};

// Tiles that the Gaussian's half extents reach.
LF_FN Box tiles_of(const float* mean2d, const int32_t* radius, int tiles_x, int tiles_y) {
  const float inv = 1.0f / TILE, rx = float(radius[0]), ry = float(radius[1]);
  return {int(clampf(floorf((mean2d[0] - rx) * inv), 0, float(tiles_x))),
          int(clampf(ceilf((mean2d[0] + rx) * inv), 0, float(tiles_x))),
          int(clampf(floorf((mean2d[1] - ry) * inv), 0, float(tiles_y))),
          int(clampf(ceilf((mean2d[1] + ry) * inv), 0, float(tiles_y)))};
}

}  // namespace langfield
