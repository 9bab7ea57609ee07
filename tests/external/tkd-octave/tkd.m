% Thresholded k-space division: tkd.m IN OUT
1;

function [header, values] = read_nifti(file)
  % Header (as bytes) and values of a gzipped, unscaled NIfTI-1 file of float32 or uint8.
  place = tempname();
  mkdir(place);
  copyfile(file, fullfile(place, 'volume.nii.gz'));
  gunzip(fullfile(place, 'volume.nii.gz'));
  id = fopen(fullfile(place, 'volume.nii'), 'r', 'ieee-le');
  bytes = fread(id, Inf, 'uint8=>uint8');
  fclose(id);
  shape = double(typecast(bytes(43:48), 'int16'))';
  start = double(typecast(bytes(109:112), 'single'));
  header = bytes(1:start);
  if typecast(bytes(71:72), 'int16') == 16
    values = double(typecast(bytes(start + 1:end), 'single'));
  else
    values = double(bytes(start + 1:end));
  end
  values = reshape(values, shape);
end

function write_nifti(file, header, values)
  % Values as float32 behind the header of another float32 volume on the same grid.
  place = tempname();
  mkdir(place);
  id = fopen(fullfile(place, 'volume.nii'), 'w', 'ieee-le');
  fwrite(id, header, 'uint8');
  fwrite(id, values(:), 'single');
  fclose(id);
  gzip(fullfile(place, 'volume.nii'));
  copyfile(fullfile(place, 'volume.nii.gz'), file);
end

function k = frequencies(n, d)
  k = ifftshift((0:n - 1) - floor(n / 2)) / (n * d);
end

folders = argv();
given = folders{end - 1};
made = folders{end};
voxel = str2num(getenv('QSMCI_VOXEL_SIZE'));
b0 = str2num(getenv('QSMCI_B0_DIR'));
threshold = 0.2;
if !isempty(getenv('QSMCI_SET_THRESHOLD'))
  threshold = str2double(getenv('QSMCI_SET_THRESHOLD'));
end
[header, field] = read_nifti(fullfile(given, 'localfield.nii.gz'));
[~, mask] = read_nifti(fullfile(given, 'mask.nii.gz'));
shape = size(field);
[kx, ky, kz] = ndgrid(frequencies(shape(1), voxel(1)), frequencies(shape(2), voxel(2)), frequencies(shape(3), voxel(3)));
square = kx .^ 2 + ky .^ 2 + kz .^ 2;
square(1) = 1;
dipole = 1 / 3 - (b0(1) * kx + b0(2) * ky + b0(3) * kz) .^ 2 ./ square;
small = abs(dipole) < threshold;
dipole(small) = threshold * (2 * (dipole(small) >= 0) - 1);
inverse = 1 ./ dipole;
inverse(1) = 0;
chi = real(ifftn(fftn(field .* mask) .* inverse));
chi = (chi - mean(chi(mask > 0))) .* mask;
write_nifti(fullfile(made, 'chimap.nii.gz'), header, chi);
