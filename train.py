"""One training, or with -m a sweep of them: what `clipgan-train` does, from a checkout.

python train.py
python train.py -m loss=symmetric h=0.1,0.5,2
"""

from clipgan.main import main  # it calls what @hydra.main calls; Hydra's tab completion looks for this name here

if __name__ == "__main__":
    main()
