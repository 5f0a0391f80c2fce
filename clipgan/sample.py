"""Draw pictures from a trained generator: a labelled grid and single PNGs.

python -m clipgan.sample run=RUN_ID prompts="a red bird;a plate of food" seeds=0-7 truncation=0.7
python -m clipgan.sample ckpt=runs/single/TIME/checkpoint-000008.pt prompts=prompts.txt seeds=0-63 rerank=8
python -m clipgan.sample run=RUN_ID prompts="a red bird;a plate of food" seeds=0-3 interpolate=latent,text steps=8

run=RUN_ID | ckpt=FILE      an MLflow run (mlflow.tracking_uri=URI) or a checkpoint file; exactly one of the two
prompts=TEXT;TEXT | FILE    prompts between semicolons, or a file with one prompt per line
image=FILE                  a picture as a prompt: pictures that CLIP sees like it
encoding=NAME               encoding of that file (utf-8), unless it begins with a byte order mark
seeds=0-7                   also 3 or 0,4,9-12; a prompt and a seed always give the same picture
truncation=1                from 1 (the generator's full variety) to 0 (its average)
rerank=N                    keep the N seeds of each prompt that fit it best by CLIP
rerank_clip=NAME            the CLIP that judges: judge (the run's judge) or an option of conf/clip; default: the
                            CLIP that guided the training
rerank_clip.checkpoint=FILE weights of that CLIP
hydra.searchpath=[file://DIR]   with rerank_clip: a folder of your own, whose clip/NAME.yaml is an option too
interpolate=latent,text     also draw strips from seed to seed (latent) and from prompt to prompt (text)
steps=8                     pictures per strip
out=FOLDER                  default: a new folder in samples/, named after the checkpoint; in a given folder, pictures
                            of the same names are replaced
clip.checkpoint=FILE        weights of the CLIP that guided the training, if their file has moved
device=auto                 auto, cpu, cuda, cuda:N
"""

import sys
from pathlib import Path

from clipgan.base.text import printable
from clipgan.config.command_line import helped, messages_not_tracebacks
from clipgan.sampling.options import SampleOptions, parse


def sample(options: SampleOptions) -> list[Path]:
    """Write the pictures. In a given folder (`out`), they replace files of the same names.

    Returns:
        The files: the grid, the single pictures, the strips.

    Raises:
        UserError: the model or a CLIP is missing.
        OSError: the folder cannot be written.
    """
    from clipgan.api.generating import load_generator
    from clipgan.sampling.files import chosen_pictures, unused_folder, write_pictures, write_strips
    from clipgan.sampling.rerank import scoring_clip

    sampler = load_generator(
        options.run, options.ckpt, options.device, options.clip_checkpoint, options.mlflow_tracking_uri
    )
    source = sampler.source
    conditions = {prompt: sampler.condition(prompt) for prompt in options.prompts}
    if options.image is not None and options.image_label is not None:
        conditions[options.image_label] = sampler.condition_of_image(options.image)
    judge = None
    if options.rerank is not None:
        judge = scoring_clip(
            sampler, source, options.rerank_clip, options.rerank_clip_checkpoint, sampler.device, options.config_places
        )
    folder = options.out or unused_folder(Path("samples") / source.name)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        prompt: chosen_pictures(sampler, prompt, condition, options, judge) for prompt, condition in conditions.items()
    }
    files = write_pictures(folder, pictures, options.truncation, source.name)
    return files + write_strips(folder, sampler, options, pictures)


def main() -> None:
    """Run the command line."""
    if helped(__doc__):
        return
    with messages_not_tracebacks("out"):
        options = parse(sys.argv[1:])
        earlier = set(options.out.glob("*")) if options.out else set()
        files = sample(options)
        replaced = len(earlier & set(files))
        print(
            printable(
                f"{files[0]}: the grid; {len(files) - 1} more files beside it"
                f"{f'; {replaced} of them replace earlier files' if replaced else ''}"
            )
        )


if __name__ == "__main__":
    main()
