//! The C functions of LightGBM 4.7 that `lightgbm3` calls, with the names and types that it
//! expects.
//!
//! Source: LightGBM's `include/LightGBM/c_api.h`, which documents each function. Functions that
//! return an int return 0 on success and -1 on failure; [`LGBM_GetLastError`] then returns the
//! reason. All calls are unsafe: pointers must be valid for the given lengths, and handles must
//! come from the function that creates them and be freed once.
#![allow(unsafe_code, reason = "declares functions of C; none is called here")]
#![allow(missing_docs, reason = "the C header documents each function")]

use std::ffi::{c_char, c_int, c_void};

pub type DatasetHandle = *mut c_void;
pub type BoosterHandle = *mut c_void;
pub type FastConfigHandle = *mut c_void;

pub const C_API_DTYPE_FLOAT32: u32 = 0;
pub const C_API_DTYPE_FLOAT64: u32 = 1;
pub const C_API_PREDICT_NORMAL: u32 = 0;
pub const C_API_PREDICT_RAW_SCORE: u32 = 1;
pub const C_API_PREDICT_CONTRIB: u32 = 3;
pub const C_API_FEATURE_IMPORTANCE_SPLIT: u32 = 0;
pub const C_API_FEATURE_IMPORTANCE_GAIN: u32 = 1;

unsafe extern "C" {
    pub fn LGBM_GetLastError() -> *const c_char;

    pub fn LGBM_DatasetCreateFromFile(
        filename: *const c_char,
        parameters: *const c_char,
        reference: DatasetHandle,
        out: *mut DatasetHandle,
    ) -> c_int;
    pub fn LGBM_DatasetCreateFromMat(
        data: *const c_void,
        data_type: c_int,
        nrow: i32,
        ncol: i32,
        is_row_major: c_int,
        parameters: *const c_char,
        reference: DatasetHandle,
        out: *mut DatasetHandle,
    ) -> c_int;
    pub fn LGBM_DatasetFree(handle: DatasetHandle) -> c_int;
    pub fn LGBM_DatasetGetField(
        handle: DatasetHandle,
        field_name: *const c_char,
        out_len: *mut c_int,
        out_ptr: *mut *const c_void,
        out_type: *mut c_int,
    ) -> c_int;
    pub fn LGBM_DatasetSetField(
        handle: DatasetHandle,
        field_name: *const c_char,
        field_data: *const c_void,
        num_element: c_int,
        data_type: c_int,
    ) -> c_int;
    pub fn LGBM_DatasetGetNumData(handle: DatasetHandle, out: *mut c_int) -> c_int;
    pub fn LGBM_DatasetGetNumFeature(handle: DatasetHandle, out: *mut c_int) -> c_int;
    pub fn LGBM_DatasetGetFeatureNames(
        handle: DatasetHandle,
        len: c_int,
        num_feature_names: *mut c_int,
        buffer_len: usize,
        out_buffer_len: *mut usize,
        feature_names: *mut *mut c_char,
    ) -> c_int;
    pub fn LGBM_DatasetSetFeatureNames(
        handle: DatasetHandle,
        feature_names: *mut *const c_char,
        num_feature_names: c_int,
    ) -> c_int;

    pub fn LGBM_BoosterCreate(
        train_data: DatasetHandle,
        parameters: *const c_char,
        out: *mut BoosterHandle,
    ) -> c_int;
    pub fn LGBM_BoosterCreateFromModelfile(
        filename: *const c_char,
        out_num_iterations: *mut c_int,
        out: *mut BoosterHandle,
    ) -> c_int;
    pub fn LGBM_BoosterLoadModelFromString(
        model_str: *const c_char,
        out_num_iterations: *mut c_int,
        out: *mut BoosterHandle,
    ) -> c_int;
    pub fn LGBM_BoosterFree(handle: BoosterHandle) -> c_int;
    pub fn LGBM_BoosterAddValidData(handle: BoosterHandle, valid_data: DatasetHandle) -> c_int;
    pub fn LGBM_BoosterUpdateOneIter(
        handle: BoosterHandle,
        produced_empty_tree: *mut c_int,
    ) -> c_int;
    pub fn LGBM_BoosterUpdateOneIterCustom(
        handle: BoosterHandle,
        grad: *const f32,
        hess: *const f32,
        produced_empty_tree: *mut c_int,
    ) -> c_int;
    pub fn LGBM_BoosterRollbackOneIter(handle: BoosterHandle) -> c_int;
    pub fn LGBM_BoosterGetCurrentIteration(
        handle: BoosterHandle,
        out_iteration: *mut c_int,
    ) -> c_int;
    pub fn LGBM_BoosterGetNumClasses(handle: BoosterHandle, out_len: *mut c_int) -> c_int;
    pub fn LGBM_BoosterGetNumFeature(handle: BoosterHandle, out_len: *mut c_int) -> c_int;
    pub fn LGBM_BoosterGetFeatureNames(
        handle: BoosterHandle,
        len: c_int,
        out_len: *mut c_int,
        buffer_len: usize,
        out_buffer_len: *mut usize,
        out_strs: *mut *mut c_char,
    ) -> c_int;
    pub fn LGBM_BoosterFeatureImportance(
        handle: BoosterHandle,
        num_iteration: c_int,
        importance_type: c_int,
        out_results: *mut f64,
    ) -> c_int;
    pub fn LGBM_BoosterGetEvalCounts(handle: BoosterHandle, out_len: *mut c_int) -> c_int;
    pub fn LGBM_BoosterGetEval(
        handle: BoosterHandle,
        data_idx: c_int,
        out_len: *mut c_int,
        out_results: *mut f64,
    ) -> c_int;
    pub fn LGBM_BoosterGetPredict(
        handle: BoosterHandle,
        data_idx: c_int,
        out_len: *mut i64,
        out_result: *mut f64,
    ) -> c_int;
    pub fn LGBM_BoosterPredictForMat(
        handle: BoosterHandle,
        data: *const c_void,
        data_type: c_int,
        nrow: i32,
        ncol: i32,
        is_row_major: c_int,
        predict_type: c_int,
        start_iteration: c_int,
        num_iteration: c_int,
        parameter: *const c_char,
        out_len: *mut i64,
        out_result: *mut f64,
    ) -> c_int;
    pub fn LGBM_BoosterPredictForMatSingleRow(
        handle: BoosterHandle,
        data: *const c_void,
        data_type: c_int,
        ncol: c_int,
        is_row_major: c_int,
        predict_type: c_int,
        start_iteration: c_int,
        num_iteration: c_int,
        parameter: *const c_char,
        out_len: *mut i64,
        out_result: *mut f64,
    ) -> c_int;
    pub fn LGBM_BoosterPredictForMatSingleRowFastInit(
        handle: BoosterHandle,
        predict_type: c_int,
        start_iteration: c_int,
        num_iteration: c_int,
        data_type: c_int,
        ncol: i32,
        parameter: *const c_char,
        out_fast_config: *mut FastConfigHandle,
    ) -> c_int;
    pub fn LGBM_BoosterPredictForMatSingleRowFast(
        fast_config: FastConfigHandle,
        data: *const c_void,
        out_len: *mut i64,
        out_result: *mut f64,
    ) -> c_int;
    pub fn LGBM_FastConfigFree(fast_config: FastConfigHandle) -> c_int;
    pub fn LGBM_BoosterSaveModel(
        handle: BoosterHandle,
        start_iteration: c_int,
        num_iteration: c_int,
        feature_importance_type: c_int,
        filename: *const c_char,
    ) -> c_int;
    pub fn LGBM_BoosterSaveModelToString(
        handle: BoosterHandle,
        start_iteration: c_int,
        num_iteration: c_int,
        feature_importance_type: c_int,
        buffer_len: i64,
        out_len: *mut i64,
        out_str: *mut c_char,
    ) -> c_int;
}
